"""What answers and what happens of itself: the server, its background work, and what both are built of."""

import asyncio
from dataclasses import dataclass

import grpc

from chassis import metrics, purge
from chassis.db import Database, connect
from chassis.grpc import revocations
from chassis.grpc.caller import Identity, Trust, Verifier
from chassis.grpc.client import channel
from chassis.grpc.consumer import Consumer
from chassis.grpc.feed import EventFeedServicer
from chassis.grpc.server import Server
from chassis.listen import Wakeups
from chassis.outbox import CHANNEL, Feed
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
from services.snapshots.commands import bulk, grants, uses
from services.snapshots.commands.builds import BUILD_LOG
from services.snapshots.commands.retirement import RETIRE
from services.snapshots.commands.reviews import REVIEW
from services.snapshots.commands.share_ends import EXPIRY
from services.snapshots.contexts.factory import uploads_from
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.domain.uploads import NoUploads, Uploads
from services.snapshots.images.http import Http
from services.snapshots.peers import Organizations
from services.snapshots.queries.page import Pages
from services.snapshots.servicer.admin import AdminServicer
from services.snapshots.servicer.bulk import BulkServicer
from services.snapshots.servicer.contexts import ContextServicer
from services.snapshots.servicer.logs import Logs
from services.snapshots.servicer.notifier import Notifier
from services.snapshots.servicer.registries import RegistryServicer, RegistryTools
from services.snapshots.servicer.reviews import Reviews
from services.snapshots.servicer.service import SnapshotServicer, Tools
from services.snapshots.servicer.shares import ShareServicer
from services.snapshots.servicer.upkeep import end_shares, repeatedly, retire
from services.snapshots.servicer.uses import UseServicer
from services.snapshots.servicer.versions import VersionServicer
from services.snapshots.settings import Settings


@dataclass(frozen=True, slots=True)
class Databases:
    """One database, held twice: statements for searches and far pages are planned otherwise than all else."""

    url: str
    usual: Database
    heavy: Database

    async def close(self) -> None:
        await self.heavy.close()
        await self.usual.close()


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The ways to the other contexts, who this one is to them, and whom it believes."""

    auth: grpc.aio.Channel
    orgs: grpc.aio.Channel
    identity: Identity
    trust: Trust


class Snapshots:
    """Everything that serving is made of, over one database and the ways to auth and orgs."""

    def __init__(
        self,
        databases: Databases,
        neighbours: Neighbours,
        registries: RegistryTools,
        uploads: Uploads | None = None,
        no_builder: str = "no builder is set up",
    ) -> None:
        """`no_builder`: why nothing is built here; empty: something is."""
        self._database, self._heavy = databases.usual, databases.heavy
        self._neighbours = neighbours
        self._verifier = Verifier(neighbours.trust)
        self._wakeups = Wakeups(databases.url, "snapshots")
        self._feed = Feed(self._database.pool)
        self._organizations = Organizations(neighbours.orgs, neighbours.identity)
        self._reviews = Reviews(self._database.sessions, self._organizations, self._wakeups)
        self._notifier = Notifier(self._database.pool)
        self._registries = registries
        self._uploads = uploads or NoUploads()
        self._no_builder = no_builder

    def server(self) -> Server:
        server = Server("snapshots", self._verifier)
        database, organizations = self._database, self._organizations
        servicer = SnapshotServicer(database, self._tools(), self._no_builder)
        server.add(snapshot_service_pb2, add_SnapshotServiceServicer_to_server, servicer)
        passwords = self._neighbours.identity.derive("registries' passwords")
        registries = RegistryServicer(database, organizations, self._registries, passwords)
        server.add(registry_service_pb2, add_RegistryServiceServicer_to_server, registries)
        contexts = ContextServicer(self._uploads, organizations)
        server.add(context_service_pb2, add_ContextServiceServicer_to_server, contexts)
        admin = AdminServicer(database, self._heavy.pool)
        server.add(snapshot_admin_service_pb2, add_SnapshotAdminServiceServicer_to_server, admin)
        use = UseServicer(database.sessions, organizations)
        server.add(snapshot_use_service_pb2, add_SnapshotUseServiceServicer_to_server, use)
        jobs = BulkServicer(database, organizations)
        server.add(bulk_job_service_pb2, add_BulkJobServiceServicer_to_server, jobs)
        server.add(share_service_pb2, add_ShareServiceServicer_to_server, ShareServicer(database))
        versions = VersionServicer(database, organizations, self._no_builder)
        server.add(version_service_pb2, add_VersionServiceServicer_to_server, versions)
        feed = EventFeedServicer(self._feed, self._wakeups, events.LIVE)
        server.add(event_feed_service_pb2, add_EventFeedServiceServicer_to_server, feed)
        return server

    def _tools(self) -> Tools:
        return Tools(
            organizations=self._organizations,
            pages=Pages(self._database.pool, self._heavy.pool),
            reviews=self._reviews,
            notifier=self._notifier,
            logs=Logs(self._database.pool, self._wakeups),
        )

    async def run(self) -> None:
        """Do all that happens without being asked for, for ever."""
        others, sessions = self._neighbours, self._database.sessions
        auth, orgs, identity = others.auth, others.orgs, others.identity
        # A stream that was cut missed what was revoked meanwhile: tokens outlive that by a minute at most.
        follow = revocations.follow(auth, identity, self._verifier.revoke, stand=lambda: None)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wakeups.run((CHANNEL, RETIRE, REVIEW, BUILD_LOG, EXPIRY)))
            tasks.create_task(follow)
            tasks.create_task(self._organizations.follow())
            tasks.create_task(Consumer("orgs", orgs, identity, sessions).run(events.take))
            tasks.create_task(self._notifier.run())
            tasks.create_task(retire(sessions, self._wakeups))
            tasks.create_task(end_shares(sessions, self._wakeups))
            tasks.create_task(self._reviews.run())
            tasks.create_task(Consumer("auth", auth, identity, sessions).run(events.from_auth))
            tasks.create_task(purge.every_hour(self._feed, self._database, self._forget))

    async def _forget(self) -> None:
        await grants.purge(self._database.sessions)
        for forget in (uses.forget, bulk.forget):
            await repeatedly(self._database.sessions, forget)


async def serve(settings: Settings, contexts: ContextsSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Whatever of it dies takes the process along."""
    identity = Identity.load(settings.identity_file, "snapshots")
    databases = await connect_both(settings.database_url.get_secret_value())
    metrics.expose(settings.metrics_listen)
    hosts, ca = settings.insecure_hosts, settings.registry_ca_file
    async with (
        Http(insecure_hosts=hosts, extra_ca=ca) as http,
        channel(settings.auth_target, authentication_service_pb2, event_feed_service_pb2) as auth,
        channel(settings.orgs_target, organization_service_pb2, event_feed_service_pb2) as orgs,
        asyncio.TaskGroup() as tasks,
    ):
        snapshots = Snapshots(
            databases,
            Neighbours(auth, orgs, identity, Trust(settings.trust_file)),
            RegistryTools(settings.ring(), http, settings.access()),
            uploads=uploads_from(contexts),
            no_builder=settings.why_none,
        )
        background = tasks.create_task(snapshots.run())
        await snapshots.server().serve(settings.listen, stop)
        background.cancel()
    await databases.close()


async def connect_both(url: str) -> Databases:
    return Databases(url, await _connect_usual(url), await _connect_heavy(url))


async def _connect_usual(url: str) -> Database:
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


async def _connect_heavy(url: str) -> Database:
    """Open the few connections for searches and far pages: planned anew for what is asked, never in parallel."""
    return await connect(
        url,
        application="snapshots search",
        sessions=1,
        hot=2,
        plan_cache_mode="force_custom_plan",
        max_parallel_workers_per_gather="0",
    )
