"""python -m services.snapshots serve | work | build | migrate | audit [--every-byte] | rotate-keys"""

import asyncio
import json
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
from chassis.rotation import RotationRunning, rotate
from chassis.sealing import KeyRing
from ratoon.auth.v1 import authentication_service_pb2
from ratoon.events.v1 import event_feed_service_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import add_EventFeedServiceServicer_to_server
from ratoon.orgs.v1 import organization_service_pb2
from ratoon.snapshots.v1 import (
    bulk_job_service_pb2,
    context_service_pb2,
    registry_service_pb2,
    share_service_pb2,
    snapshot_admin_service_pb2,
    snapshot_service_pb2,
    snapshot_use_service_pb2,
    version_service_pb2,
)
from ratoon.snapshots.v1.bulk_job_service_pb2_grpc import add_BulkJobServiceServicer_to_server
from ratoon.snapshots.v1.context_service_pb2_grpc import add_ContextServiceServicer_to_server
from ratoon.snapshots.v1.registry_service_pb2_grpc import add_RegistryServiceServicer_to_server
from ratoon.snapshots.v1.share_service_pb2_grpc import add_ShareServiceServicer_to_server
from ratoon.snapshots.v1.snapshot_admin_service_pb2_grpc import (
    add_SnapshotAdminServiceServicer_to_server,
)
from ratoon.snapshots.v1.snapshot_service_pb2_grpc import add_SnapshotServiceServicer_to_server
from ratoon.snapshots.v1.snapshot_use_service_pb2_grpc import (
    add_SnapshotUseServiceServicer_to_server,
)
from ratoon.snapshots.v1.version_service_pb2_grpc import add_VersionServiceServicer_to_server
from services.snapshots import events
from services.snapshots.commands import bulk, grants, sealed, uses
from services.snapshots.commands.builds import BUILD_LOG
from services.snapshots.commands.retirement import RETIRE
from services.snapshots.commands.reviews import REVIEW
from services.snapshots.contexts.factory import uploads_from
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.domain.uploads import NoUploads, Uploads
from services.snapshots.images.http import Http
from services.snapshots.peers import Organizations
from services.snapshots.queries.page import Pages
from services.snapshots.registries.tokens import PushAccess
from services.snapshots.servicer.admin import AdminServicer
from services.snapshots.servicer.bulk import BulkServicer
from services.snapshots.servicer.contexts import ContextServicer
from services.snapshots.servicer.logs import Logs
from services.snapshots.servicer.notifier import Notifier
from services.snapshots.servicer.registries import RegistryServicer
from services.snapshots.servicer.reviews import Reviews
from services.snapshots.servicer.service import SnapshotServicer
from services.snapshots.servicer.shares import ShareServicer
from services.snapshots.servicer.upkeep import retire
from services.snapshots.servicer.uses import UseServicer
from services.snapshots.servicer.versions import VersionServicer
from services.snapshots.settings import DatabaseSettings, KeySettings, Settings


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
        ring: KeyRing,
        http: Http,
        access: PushAccess | None = None,
        uploads: Uploads | None = None,
        no_builder: str = "no builder is set up",
    ) -> None:
        self._database = database
        self._heavy = heavy
        self._auth = auth
        self._identity = identity
        self._verifier = Verifier(trust)
        self._wakeups = Wakeups(url, "snapshots")
        self._feed = Feed(database.pool)
        self._organizations = Organizations(orgs, identity)
        self._reviews = Reviews(database.sessions, self._organizations, self._wakeups)
        self._consumer = Consumer("orgs", orgs, identity, database.sessions)
        self._notifier = Notifier(database.pool)
        self._logs = Logs(database.pool, self._wakeups)
        self._no_builder = no_builder
        self._pages = Pages(database.pool, heavy.pool)
        self._registries = RegistryServicer(
            database,
            self._organizations,
            ring,
            http,
            identity.derive("registries' passwords"),
            access,
        )
        self._from_auth = Consumer("auth", auth, identity, database.sessions)
        self._uploads = uploads or NoUploads()

    def server(self) -> Server:
        server = Server("snapshots", self._verifier)
        servicer = SnapshotServicer(
            self._database,
            self._pages,
            self._organizations,
            self._reviews,
            self._notifier,
            self._logs,
            self._no_builder,
        )
        server.add(snapshot_service_pb2, add_SnapshotServiceServicer_to_server, servicer)
        server.add(registry_service_pb2, add_RegistryServiceServicer_to_server, self._registries)
        server.add(
            context_service_pb2,
            add_ContextServiceServicer_to_server,
            ContextServicer(self._uploads, self._organizations),
        )
        server.add(
            snapshot_admin_service_pb2,
            add_SnapshotAdminServiceServicer_to_server,
            AdminServicer(self._database, self._heavy.pool),
        )
        server.add(
            snapshot_use_service_pb2,
            add_SnapshotUseServiceServicer_to_server,
            UseServicer(self._database.sessions, self._organizations),
        )
        server.add(
            bulk_job_service_pb2,
            add_BulkJobServiceServicer_to_server,
            BulkServicer(self._database, self._organizations),
        )
        server.add(
            share_service_pb2, add_ShareServiceServicer_to_server, ShareServicer(self._database)
        )
        server.add(
            version_service_pb2,
            add_VersionServiceServicer_to_server,
            VersionServicer(self._database, self._organizations, self._no_builder),
        )
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
            tasks.create_task(self._wakeups.run((CHANNEL, RETIRE, REVIEW, BUILD_LOG)))
            tasks.create_task(follow)
            tasks.create_task(self._organizations.follow())
            tasks.create_task(self._consumer.run(events.take))
            tasks.create_task(self._notifier.run())
            tasks.create_task(retire(self._database.sessions, self._wakeups))
            tasks.create_task(self._reviews.run())
            tasks.create_task(self._from_auth.run(events.from_auth))
            tasks.create_task(purge.every_hour(self._feed, self._database, self._forget))

    async def _forget(self) -> None:
        await grants.purge(self._database.sessions)
        async with self._database.sessions.begin() as session:
            await uses.forget(session)
            await bulk.forget(session)


async def serve(settings: Settings, contexts: ContextsSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Whatever of it dies takes the process along."""
    url = settings.database_url.get_secret_value()
    identity = Identity.load(settings.identity_file, "snapshots")
    database, heavy = await connect_hot(url), await connect_heavy(url)
    metrics.expose(settings.metrics_listen)
    hosts, ca = settings.insecure_hosts, settings.registry_ca_file
    async with (
        Http(insecure_hosts=hosts, extra_ca=ca) as http,
        channel(settings.auth_target, authentication_service_pb2, event_feed_service_pb2) as auth,
        channel(settings.orgs_target, organization_service_pb2, event_feed_service_pb2) as orgs,
        asyncio.TaskGroup() as tasks,
    ):
        trust = Trust(settings.trust_file)
        ring, access = settings.ring(), settings.access()
        snapshots = Snapshots(
            *(database, heavy, url, auth, orgs, identity, trust, ring, http),
            access=access,
            uploads=uploads_from(contexts),
            no_builder="" if settings.builder else settings.no_builder,
        )
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


async def _rotate_keys(settings: KeySettings) -> int:
    """Replace the encryption key; return how many secrets are sealed anew."""
    url = settings.database_url.get_secret_value()
    database = await connect(url, application="snapshots key rotation", sessions=1, hot=1)
    try:
        return await rotate(database, settings.ring(), sealed)
    except RotationRunning as running:
        sys.exit(str(running))
    finally:
        await database.close()


def _work() -> None:
    # What a worker needs, a server does not.
    from services.snapshots.worker.process import work
    from services.snapshots.worker.settings import WorkerSettings

    settings = WorkerSettings()  # type: ignore[call-arg]  # read from the environment
    run(lambda stop: work(settings, stop, ContextsSettings()))


def _audit(*, every_byte: bool) -> None:
    from services.snapshots.worker.audit import audit
    from services.snapshots.worker.settings import AuditSettings

    settings = AuditSettings()  # type: ignore[call-arg]  # read from the environment
    print(json.dumps(asyncio.run(audit(settings, ContextsSettings(), every_byte=every_byte))))


def _build() -> None:
    # What a builder needs, nobody else does.
    from services.snapshots.builder.process import build
    from services.snapshots.builder.settings import BuilderSettings

    settings = BuilderSettings()  # type: ignore[call-arg]  # read from the environment
    run(lambda stop: build(settings, ContextsSettings(), stop))


def main() -> None:
    match sys.argv[1:]:
        case ["serve"]:
            configure("snapshots")
            settings = Settings()  # type: ignore[call-arg]  # read from the environment
            run(lambda stop: serve(settings, ContextsSettings(), stop))
        case ["work"]:
            configure("snapshots worker")
            _work()
        case ["build"]:
            configure("snapshots builder")
            _build()
        case ["migrate"]:
            configure("snapshots migrate")
            _migrate()
        case ["audit", *options] if options in ([], ["--every-byte"]):
            configure("snapshots audit")
            _audit(every_byte=bool(options))
        case ["rotate-keys"]:
            configure("snapshots key rotation")
            keys = KeySettings()  # type: ignore[call-arg]  # read from the environment
            print(json.dumps({"resealed": asyncio.run(_rotate_keys(keys))}))
        case _:
            sys.exit(f"usage: {__doc__}")


if __name__ == "__main__":
    main()
