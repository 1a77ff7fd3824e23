"""The worker as a process."""

import asyncio
import logging

from chassis import metrics
from chassis.db import connect
from chassis.grpc.caller import Identity
from chassis.grpc.client import channel
from chassis.listen import Wakeups
from chassis.process import notify
from services.snapshots.images.http import Http
from services.snapshots.peers import SERVICES, Organizations
from services.snapshots.store.layout import OciLayoutStore
from services.snapshots.worker.limits import patient
from services.snapshots.worker.policy import Policy
from services.snapshots.worker.settings import WorkerSettings
from services.snapshots.worker.worker import Worker

log = logging.getLogger(__name__)
_CLOSE_SECONDS = 1.0


async def work(settings: WorkerSettings, stop: asyncio.Event) -> None:
    """Work until `stop` is set. Whatever of it dies takes the process along."""
    url, places = settings.database_url.get_secret_value(), settings.worker_pulls
    identity = Identity.load(settings.identity_file, "snapshots")
    settings.store_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = OciLayoutStore(settings.store_path)
    metrics.expose(settings.worker_metrics_listen)
    database = await connect(url, application="snapshots worker", sessions=2 * places + 2, hot=1)
    hosts, ca = settings.insecure_hosts, settings.registry_ca_file
    async with (
        Http(insecure_hosts=hosts, extra_ca=ca) as http,
        channel(settings.orgs_target, *SERVICES) as orgs,
    ):
        worker = Worker(
            database.sessions,
            Wakeups(url, "snapshots worker"),
            http,
            store,
            patient(Organizations(orgs, identity).limits_of),
            places=places,
            policy=Policy(
                lease=settings.worker_lease_seconds,
                deadline=settings.pull_deadline_seconds,
                versions_kept=settings.versions_kept,
            ),
            store_limit=settings.store_limit_bytes,
        )
        await _until(stop, worker)
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await database.close()
    except TimeoutError:
        log.warning("the database does not answer the goodbye")


async def _until(stop: asyncio.Event, worker: Worker) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(worker.run())
        notify("READY=1")
        await stop.wait()
        running.cancel()
