"""python -m services.snapshots serve | work | migrate"""

import asyncio
import sys

import grpc

from chassis import metrics, purge
from chassis.db import Database, connect
from chassis.grpc import revocations
from chassis.grpc.caller import Identity, Trust, Verifier
from chassis.grpc.client import channel
from chassis.grpc.feed import Consumer, EventFeedServicer
from chassis.grpc.server import Server
from chassis.listen import Wakeups
from chassis.logging import configure
from chassis.outbox import CHANNEL, Feed
from chassis.process import run
from ratoon.auth.v1 import authentication_service_pb2
from ratoon.events.v1 import event_feed_service_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import add_EventFeedServiceServicer_to_server
from ratoon.orgs.v1 import organization_service_pb2
from ratoon.snapshots.v1 import snapshot_service_pb2
from ratoon.snapshots.v1.snapshot_service_pb2_grpc import add_SnapshotServiceServicer_to_server
from services.snapshots import events
from services.snapshots.commands.retirement import RETIRE
from services.snapshots.commands.reviews import REVIEW
from services.snapshots.peers import Organizations
from services.snapshots.queries.page import Pages
from services.snapshots.servicer.notifier import Notifier
from services.snapshots.servicer.reviews import Reviews
from services.snapshots.servicer.service import SnapshotServicer
from services.snapshots.servicer.upkeep import retire
from services.snapshots.settings import DatabaseSettings, Settings


class Snapshots:
    """Everything that serving is made of, over one database and the ways to auth and orgs."""

    def __init__(
        self,
        database: Database,
        heavy: Database,
        url: str,
        auth: grpc.aio.Channel,
        orgs: grpc.aio.Channel,
        identity: Identity,
        trust: Trust,
    ) -> None:
        self._database = database
        self._auth = auth
        self._identity = identity
        self._verifier = Verifier(trust)
        self._wakeups = Wakeups(url, "snapshots")
        self._feed = Feed(database.pool)
        self._organizations = Organizations(orgs, identity)
        self._reviews = Reviews(database.sessions, self._organizations, self._wakeups)
        self._consumer = Consumer("orgs", orgs, identity, database.sessions)
        self._notifier = Notifier(database.pool)
        self._pages = Pages(database.pool, heavy.pool)

    def server(self) -> Server:
        server = Server("snapshots", self._verifier)
        servicer = SnapshotServicer(
            self._database, self._pages, self._organizations, self._reviews, self._notifier
        )
        server.add(snapshot_service_pb2, add_SnapshotServiceServicer_to_server, servicer)
        server.add(
            event_feed_service_pb2,
            add_EventFeedServiceServicer_to_server,
            EventFeedServicer(self._feed, self._wakeups, events.LIVE),
        )
        return server

    async def run(self) -> None:
        """Do all that happens without being asked for, for ever."""
        # A stream that was cut missed what was revoked meanwhile: tokens outlive that by a minute at most.
        follow = revocations.follow(
            self._auth, self._identity, self._verifier.revoke, stand=lambda: None
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wakeups.run((CHANNEL, RETIRE, REVIEW)))
            tasks.create_task(follow)
            tasks.create_task(self._organizations.follow())
            tasks.create_task(self._consumer.run(events.take))
            tasks.create_task(self._notifier.run())
            tasks.create_task(retire(self._database.sessions, self._wakeups))
            tasks.create_task(self._reviews.run())
            tasks.create_task(purge.every_hour(self._feed, self._database))


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Whatever of it dies takes the process along."""
    url = settings.database_url.get_secret_value()
    identity = Identity.load(settings.identity_file, "snapshots")
    database, heavy = await connect_hot(url), await connect_heavy(url)
    metrics.expose(settings.metrics_listen)
    async with (
        channel(settings.auth_target, authentication_service_pb2) as auth,
        channel(settings.orgs_target, organization_service_pb2, event_feed_service_pb2) as orgs,
        asyncio.TaskGroup() as tasks,
    ):
        trust = Trust(settings.trust_file)
        snapshots = Snapshots(database, heavy, url, auth, orgs, identity, trust)
        background = tasks.create_task(snapshots.run())
        await snapshots.server().serve(settings.listen, stop)
        background.cancel()
    await heavy.close()
    await database.close()


async def connect_hot(url: str) -> Database:
    """Open the connections for all else. Each statement is planned once: for whoever asks, and along an index,
    whatever the statistics say at that moment.
    """
    return await connect(
        url,
        application="snapshots",
        sessions=4,
        plan_cache_mode="force_generic_plan",
        enable_seqscan="off",
    )


async def connect_heavy(url: str) -> Database:
    """Open the few connections for searches and far pages: planned anew for what is asked, never in parallel."""
    return await connect(
        url,
        application="snapshots search",
        sessions=1,
        hot=2,
        plan_cache_mode="force_custom_plan",
        max_parallel_workers_per_gather="0",
    )


def _migrate() -> None:
    # Alembic is large, and a server never migrates.
    from chassis.migrations import upgrade

    settings = DatabaseSettings()  # type: ignore[call-arg]  # read from the environment
    upgrade("services.snapshots", settings.database_url.get_secret_value())


def _work() -> None:
    # What a worker needs, a server does not.
    from services.snapshots.worker.process import work
    from services.snapshots.worker.settings import WorkerSettings

    settings = WorkerSettings()  # type: ignore[call-arg]  # read from the environment
    run(lambda stop: work(settings, stop))


def main() -> None:
    match sys.argv[1:]:
        case ["serve"]:
            configure("snapshots")
            settings = Settings()  # type: ignore[call-arg]  # read from the environment
            run(lambda stop: serve(settings, stop))
        case ["work"]:
            configure("snapshots worker")
            _work()
        case ["migrate"]:
            configure("snapshots migrate")
            _migrate()
        case _:
            sys.exit("usage: python -m services.snapshots serve | work | migrate")


if __name__ == "__main__":
    main()
