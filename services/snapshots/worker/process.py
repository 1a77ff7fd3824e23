"""The worker as a process."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from chassis import metrics
from chassis.db import Sessions, connect
from chassis.grpc.caller import Identity
from chassis.grpc.client import channel
from chassis.listen import Wakeups
from chassis.process import notify
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.images.credentials import OwnCredentials
from services.snapshots.images.http import Http
from services.snapshots.peers import SERVICES, Organizations
from services.snapshots.registries.pushed import Pushed
from services.snapshots.worker.bulk import Bulk
from services.snapshots.worker.garbage import Garbage
from services.snapshots.worker.limits import patient
from services.snapshots.worker.policy import Policy
from services.snapshots.worker.pushed import forget_for_ever
from services.snapshots.worker.room import Room
from services.snapshots.worker.settings import WorkerSettings
from services.snapshots.worker.stores import store_of
from services.snapshots.worker.tools import Tools
from services.snapshots.worker.worker import Worker

log = logging.getLogger(__name__)
_CLOSE_SECONDS = 1.0


async def work(
    settings: WorkerSettings, stop: asyncio.Event, contexts: ContextsSettings | None = None
) -> None:
    """Work until `stop` is set. Whatever of it dies takes the process along."""
    url, places = settings.database_url.get_secret_value(), settings.worker_pulls
    identity = Identity.load(settings.identity_file, "snapshots")
    store = store_of(settings, contexts)
    metrics.expose(settings.worker_metrics_listen)
    database = await connect(url, application="snapshots worker", sessions=2 * places + 3, hot=1)
    hosts, ca = settings.insecure_hosts, settings.registry_ca_file
    wakeups = Wakeups(url, "snapshots worker")
    async with (
        Http(insecure_hosts=hosts, extra_ca=ca) as http,
        channel(settings.orgs_target, *SERVICES) as orgs,
    ):
        organizations = Organizations(orgs, identity)
        bulk = Bulk(database.sessions, wakeups, organizations, settings.why_none)
        tools = Tools(
            sessions=database.sessions,
            store=store,
            room=Room(store, settings.store_limit_bytes),
            garbage=Garbage(database.sessions, store),
            largest_image=patient(organizations.limits_of),
            policy=Policy(
                lease=settings.worker_lease_seconds,
                deadline=settings.pull_deadline_seconds,
                versions_kept=settings.versions_kept,
            ),
            credentials=OwnCredentials(database.sessions, settings.ring(), settings.own_registry()),
        )
        worker = Worker(tools, wakeups, http, places=places)
        await _until(
            stop, worker.run(), bulk.run(), _expiry(contexts), _pushed(settings, database.sessions)
        )
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await database.close()
    except TimeoutError:
        log.warning("the database does not answer the goodbye")


async def _until(stop: asyncio.Event, *work: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each) for each in work]
        notify("READY=1")
        await stop.wait()
        for each in running:
            each.cancel()


async def _expiry(settings: ContextsSettings | None) -> None:
    """Look after uploaded contexts, where there is a storage for them."""
    if settings is not None and settings.endpoint:
        from services.snapshots.contexts.factory import aging_from
        from services.snapshots.worker.expiry import expire

        await expire(aging_from(settings), timedelta(days=settings.keep_days))


async def _pushed(settings: WorkerSettings, sessions: Sessions) -> None:
    """Look after what was pushed, where the own registry's files are at hand."""
    if settings.push_registry and settings.push_registry_path is not None:
        keep = timedelta(days=settings.push_keep_days)
        await forget_for_ever(sessions, Pushed(settings.push_registry_path), keep)
