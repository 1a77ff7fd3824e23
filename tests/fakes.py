"""Neighbours, played in-process behind real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc

from chassis.db import Database, connect
from chassis.errors import Kind, Refusal
from chassis.grpc.caller import Verifier
from chassis.grpc.feed import EventFeedServicer
from chassis.grpc.server import Server
from chassis.listen import Wakeups
from chassis.outbox import CHANNEL, Feed, announce
from chassis.schema import FIRST
from ratoon.access.v1 import access_pb2
from ratoon.events.v1 import event_feed_service_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import add_EventFeedServiceServicer_to_server
from ratoon.orgs.v1 import member_service_pb2, organization_service_pb2, region_service_pb2
from ratoon.orgs.v1.member_service_pb2_grpc import (
    MemberServiceServicer,
    add_MemberServiceServicer_to_server,
)
from ratoon.orgs.v1.organization_service_pb2_grpc import (
    OrganizationServiceServicer,
    add_OrganizationServiceServicer_to_server,
)
from ratoon.orgs.v1.region_service_pb2_grpc import (
    RegionServiceServicer,
    add_RegionServiceServicer_to_server,
)
from tests.identities import Keyring
from tests.postgres import Cluster

_ROLES = {
    "member": access_pb2.ORGANIZATION_ROLE_MEMBER,
    "owner": access_pb2.ORGANIZATION_ROLE_OWNER,
}


class NotAMember(Refusal):
    kind, reason = Kind.NOT_FOUND, "NOT_A_MEMBER"


class RegionCredentialUnknown(Refusal):
    kind, reason = Kind.NOT_FOUND, "REGION_CREDENTIAL_UNKNOWN"


class Away(Refusal):
    kind, reason = Kind.UNAVAILABLE, "AWAY"


@dataclass(frozen=True)
class MembershipEnded:
    organization_id: str
    user_id: str


@dataclass(frozen=True)
class MembershipChanged:
    organization_id: str
    user_id: str


@dataclass(frozen=True)
class OrganizationDeleted:
    organization_id: str


@dataclass(frozen=True)
class OrganizationChanged:
    organization_id: str
    fields: tuple[str, ...] = ("defaultRegionId",)


class FakeOrgs(MemberServiceServicer, OrganizationServiceServicer, RegionServiceServicer):
    """Memberships in memory, events in a real outbox."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.members: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {}
        self.accounts: set[str] = set()
        self.personal: dict[str, str] = {}
        # What regions' machines hold: digest → kind.
        self.region_secrets: dict[bytes, region_service_pb2.RegionCredentialKind.ValueType] = {}
        self.region_questions = 0
        self.ensured: list[organization_service_pb2.EnsurePersonalOrganizationRequest] = []
        self.resolved: list[tuple[str, str]] = []
        self.rate_limits: dict[str, member_service_pb2.RateLimits] = {}
        self.away = False

    def organization(self, owner: str, **members: tuple[str, ...]) -> str:
        """Make an organization with an owner and members (user id → permissions); return its id."""
        id_ = str(uuid4())
        self.members[owner, id_] = ("owner", ())
        for user_id, permissions in members.items():
            self.members[user_id, id_] = ("member", permissions)
        return id_

    def service_account(self, organization_id: str, *permissions: str) -> str:
        """Make a service account in an organization; return its id."""
        id_ = f"service-account-{uuid4()}"
        self.accounts.add(id_)
        self.members[id_, organization_id] = ("member", permissions)
        return id_

    async def announce(self, event: Any) -> None:
        async with self.database.sessions.begin() as session:
            await announce(session, event, organization_id=event.organization_id)

    async def remove(self, user_id: str, organization_id: str) -> None:
        del self.members[user_id, organization_id]
        await self.announce(MembershipEnded(organization_id, user_id))

    async def ResolveMembership(
        self, request: member_service_pb2.ResolveMembershipRequest, context: Any
    ) -> member_service_pb2.ResolveMembershipResponse:
        self._here()
        self.resolved.append((request.user_id, request.organization_id))
        organization_id = request.organization_id or self.personal.get(request.user_id, "")
        found = self.members.get((request.user_id, organization_id))
        if found is None:
            raise NotAMember("no member")
        return member_service_pb2.ResolveMembershipResponse(
            organization_id=organization_id,
            role=_ROLES[found[0]],
            permissions=found[1],
            service_account=request.user_id in self.accounts,
            rate_limits=self.rate_limits.get(organization_id),
        )

    async def EnsurePersonalOrganization(
        self, request: organization_service_pb2.EnsurePersonalOrganizationRequest, context: Any
    ) -> organization_service_pb2.EnsurePersonalOrganizationResponse:
        self._here()
        self.ensured.append(request)
        if request.user_id not in self.personal:
            self.personal[request.user_id] = self.organization(request.user_id)
        return organization_service_pb2.EnsurePersonalOrganizationResponse(
            organization_id=self.personal[request.user_id]
        )

    async def ResolveRegionCredential(
        self, request: region_service_pb2.ResolveRegionCredentialRequest, context: Any
    ) -> region_service_pb2.ResolveRegionCredentialResponse:
        self.region_questions += 1
        self._here()
        kind = self.region_secrets.get(request.digest)
        if kind is None:
            raise RegionCredentialUnknown("no region's")
        return region_service_pb2.ResolveRegionCredentialResponse(region_id="eu", kind=kind)

    def _here(self) -> None:
        if self.away:
            raise Away("away")


class OrgsServer:
    """The fake behind a socket; it can be stopped and started again."""

    def __init__(self, fake: FakeOrgs, wakeups: Wakeups, keyring: Keyring, target: str) -> None:
        self.fake = fake
        self.target = target
        self._wakeups = wakeups
        self._keyring = keyring
        self._running: grpc.aio.Server | None = None

    async def start(self) -> None:
        server = Server("orgs", Verifier(self._keyring.trust()))
        server.add(member_service_pb2, add_MemberServiceServicer_to_server, self.fake)
        server.add(organization_service_pb2, add_OrganizationServiceServicer_to_server, self.fake)
        server.add(region_service_pb2, add_RegionServiceServicer_to_server, self.fake)
        feed = EventFeedServicer(Feed(self.fake.database.pool), self._wakeups)
        server.add(event_feed_service_pb2, add_EventFeedServiceServicer_to_server, feed)
        self._running = await server.start(self.target)

    async def stop(self) -> None:
        if self._running is not None:
            await self._running.stop(None)
            self._running = None


@asynccontextmanager
async def orgs_serving(
    cluster: Cluster, keyring: Keyring, folder: Path
) -> AsyncIterator[OrgsServer]:
    """Serve a fake of orgs with a database of its own."""
    name = f"orgs{uuid4().hex[:10]}"
    await cluster.admin(f"CREATE DATABASE {name}")
    database = await connect(cluster.url(name), application="orgs")
    for statement in FIRST:
        await database.pool.execute(statement)
    wakeups = Wakeups(cluster.url(name), "orgs")
    listening = asyncio.create_task(wakeups.run((CHANNEL,)))
    fake = FakeOrgs(database)  # type: ignore[abstract]  # plays what its neighbours call, no more
    server = OrgsServer(fake, wakeups, keyring, f"unix:{folder}/orgs")
    await server.start()
    yield server
    await server.stop()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await database.close()
