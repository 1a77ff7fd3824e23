"""The builder as a process."""

import asyncio
import logging
import sys

from chassis import metrics
from chassis.db import connect
from chassis.grpc.caller import Identity
from chassis.grpc.client import channel
from chassis.listen import Wakeups
from chassis.process import notify
from services.snapshots.builder.builder import Builder
from services.snapshots.builder.building import Trade
from services.snapshots.builder.groups import Limits
from services.snapshots.builder.possible import missing
from services.snapshots.builder.settings import BuilderSettings
from services.snapshots.builder.workshop import Workshop
from services.snapshots.contexts.factory import contexts_from
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.domain.contexts import Contexts
from services.snapshots.images.credentials import OwnCredentials
from services.snapshots.peers import SERVICES, Organizations
from services.snapshots.worker.garbage import Garbage
from services.snapshots.worker.limits import patient
from services.snapshots.worker.policy import Policy
from services.snapshots.worker.room import Room
from services.snapshots.worker.stores import store_of
from services.snapshots.worker.tools import Tools

log = logging.getLogger(__name__)
_CLOSE_SECONDS = 1.0


async def build(settings: BuilderSettings, uploads: ContextsSettings, stop: asyncio.Event) -> None:
    """Build until `stop` is set. Whatever of it dies takes the process along."""
    if why := missing(settings.build_isolation, trusted=settings.trusted_dockerfiles):
        sys.exit(f"no Dockerfiles can be built here: {why}")
    url, places = settings.database_url.get_secret_value(), settings.builder_builds
    identity = Identity.load(settings.identity_file, "snapshots")
    metrics.expose(settings.builder_metrics_listen)
    contexts = contexts_from(uploads)
    database = await connect(url, application="snapshots builder", sessions=3 * places + 2, hot=1)
    async with channel(settings.orgs_target, *SERVICES) as orgs:
        store = store_of(settings, uploads)
        tools = Tools(
            sessions=database.sessions,
            store=store,
            room=Room(store, settings.store_limit_bytes),
            garbage=Garbage(database.sessions, store),
            largest_image=patient(Organizations(orgs, identity).limits_of),
            policy=Policy(
                lease=settings.worker_lease_seconds, deadline=settings.build_deadline_seconds
            ),
            credentials=OwnCredentials(database.sessions, settings.ring(), settings.own_registry()),
        )
        wakeups, trade = Wakeups(url, "snapshots builder"), _trade(settings, contexts)
        builder = Builder(tools, wakeups, trade, places=places)
        await _until(stop, builder)
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await database.close()
    except TimeoutError:
        log.warning("the database does not answer the goodbye")


def _trade(settings: BuilderSettings, contexts: Contexts) -> Trade:
    return Trade(
        workshop=Workshop(settings.build_path, cache_limit=settings.build_cache_bytes),
        contexts=contexts,
        isolation=settings.build_isolation,
        limits=Limits(settings.build_memory_bytes, settings.build_cpus, settings.build_processes),
        disk_limit=settings.build_disk_bytes,
        log_limit=settings.build_log_bytes,
        insecure_hosts=settings.insecure_hosts,
        ca=settings.registry_ca_file,
        reachable=settings.reachable,
        hidden=(settings.store_path,),
    )


async def _until(stop: asyncio.Event, builder: Builder) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(builder.run())
        notify("READY=1")
        await stop.wait()
        running.cancel()
