"""An orgs server over a real socket and a real database, and people to call it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import msgspec
import pytest
from sqlalchemy import text

from chassis.db import Database, connect
from chassis.grpc.caller import Caller, Verifier
from chassis.grpc.client import channel
from chassis.grpc.status import error_info
from chassis.listen import Wakeups
from chassis.outbox import CHANNEL
from chassis.permissions import MANAGEMENT
from chassis.sealing import Keys
from ratoon.orgs.v1 import invitation_service_pb2 as invitation_pb
from ratoon.orgs.v1 import member_service_pb2 as member_pb
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1 import region_service_pb2 as region_pb
from ratoon.orgs.v1 import role_service_pb2 as role_pb
from ratoon.orgs.v1.invitation_service_pb2_grpc import InvitationServiceStub
from ratoon.orgs.v1.member_service_pb2_grpc import MemberServiceStub
from ratoon.orgs.v1.organization_pb2 import Organization
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceStub
from ratoon.orgs.v1.region_service_pb2_grpc import RegionServiceStub
from ratoon.orgs.v1.role_service_pb2_grpc import RoleServiceStub
from services.orgs.serving import build, provide_default_region
from services.orgs.settings import Settings
from tests.conftest import MakeDatabase
from tests.identities import Keyring

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class House:
    """What a test of orgs holds."""

    settings: Settings
    database: Database
    keyring: Keyring
    channel: grpc.aio.Channel
    organizations: OrganizationServiceStub
    members: MemberServiceStub
    regions: RegionServiceStub
    roles: RoleServiceStub
    invitations: InvitationServiceStub

    def as_machine(self, name: str) -> Metadata:
        return self.keyring.identity(name).metadata()

    def as_user(
        self, user_id: str, organization_id: str = "", role: str = "", **more: Any
    ) -> Metadata:
        """Return metadata of a person that auth established, by default with an OIDC token and a verified e-mail."""
        known = {"credential": "oidc", "email": f"{user_id}@example.com", "email_verified": True}
        caller = Caller(
            **{
                **known,
                "user_id": user_id,
                "organization_id": organization_id,
                "organization_role": role,
                "permissions": frozenset(MANAGEMENT),
                **more,
            }
        )
        return self.keyring.metadata(caller)

    async def person(self, *, verified: bool = True) -> tuple[str, str]:
        """Return a new user and the id of the personal organization."""
        user_id = f"user|{uuid4().hex}"
        return user_id, await self.ensure(user_id, verified=verified)

    async def ensure(self, user_id: str, *, verified: bool = True) -> str:
        request = pb.EnsurePersonalOrganizationRequest(
            user_id=user_id,
            name="Ada",
            email=f"{user_id}@example.com",
            email_verified=verified,
        )
        answer = await self.organizations.EnsurePersonalOrganization(
            request, metadata=self.as_machine("auth")
        )
        return answer.organization_id

    async def create(self, user_id: str, name: str = "Shop", key: str = "") -> Organization:
        request = pb.CreateOrganizationRequest(
            name=name, default_region_id=self.settings.region_id, request_id=key
        )
        answer = await self.organizations.CreateOrganization(
            request, metadata=self.as_user(user_id)
        )
        return answer.organization

    async def list_of(self, user_id: str) -> list[Organization]:
        answer = await self.organizations.ListOrganizations(
            pb.ListOrganizationsRequest(), metadata=self.as_user(user_id)
        )
        return list(answer.organizations)

    async def get(self, user_id: str, organization_id: str) -> Organization:
        answer = await self.organizations.GetOrganization(
            pb.GetOrganizationRequest(organization_id=organization_id),
            metadata=self.as_user(user_id, organization_id, "member"),
        )
        return answer.organization

    async def delete(self, user_id: str, organization_id: str) -> None:
        await self.organizations.DeleteOrganization(
            pb.DeleteOrganizationRequest(organization_id=organization_id),
            metadata=self.as_user(user_id, organization_id, "owner"),
        )

    async def leave(self, user_id: str, organization_id: str) -> None:
        await self.organizations.LeaveOrganization(
            pb.LeaveOrganizationRequest(organization_id=organization_id),
            metadata=self.as_user(user_id, organization_id, "member"),
        )

    async def join(self, user_id: str, organization_id: str, role: str = "member") -> None:
        """Put a person into an organization, as accepting an invitation does."""
        await self.database.pool.execute(
            "INSERT INTO members (organization_id, user_id, role) VALUES ($1, $2, $3)",
            organization_id,
            user_id,
            role,
        )

    async def assign(self, user_id: str, organization_id: str, *roles: str) -> None:
        for role in roles:
            await self.database.pool.execute(
                "INSERT INTO member_roles (organization_id, user_id, role_id) VALUES ($1, $2, $3)",
                organization_id,
                user_id,
                role,
            )

    async def resolve(
        self, user_id: str, organization_id: str
    ) -> member_pb.ResolveMembershipResponse:
        return await self.members.ResolveMembership(
            member_pb.ResolveMembershipRequest(user_id=user_id, organization_id=organization_id),
            metadata=self.as_machine("auth"),
        )

    async def limits(self, organization_id: str) -> pb.GetLimitsResponse:
        return await self.organizations.GetLimits(
            pb.GetLimitsRequest(organization_id=organization_id),
            metadata=self.as_machine("snapshots"),
        )

    def as_collector(self) -> Metadata:
        """Return metadata of the collector, whom auth knows by its secret."""
        return self.keyring.metadata(Caller(credential="service", service="otel-collector"))

    def as_admin(self) -> Metadata:
        """Return metadata of an administrator of the installation, who is in no organization."""
        return self.as_user("root", system_admin=True, permissions=frozenset())

    async def told(self, organization_id: str) -> tuple[list[str], dict[str, Any]]:
        """Return which fields the last change was said to concern, and what of it is for the audit log."""
        changed, audited = (await self.events(organization_id))[-2:]
        assert (changed[0], audited[0]) == ("organization_changed", "audited")
        assert audited[1]["target_type"] == "organization"
        assert audited[1]["target_id"] == organization_id
        said = msgspec.json.decode(audited[1]["metadata"] or "{}")
        return changed[1]["fields"], {"action": audited[1]["action"], **said.get("body", {})}

    async def events(self, organization_id: str) -> list[tuple[str, dict[str, Any]]]:
        """Return what was announced of an organization, in the order it was written."""
        rows = await self.database.pool.fetch(
            "SELECT type, payload::text AS payload FROM outbox WHERE organization_id = $1 ORDER BY id",
            organization_id,
        )
        return [(r["type"], msgspec.json.decode(r["payload"])) for r in rows]


async def refusal(call: Awaitable[Any]) -> tuple[str, str]:
    """Return code and reason of a call that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code().name, error_info(refused.value).reason


async def outcome(call: Awaitable[Any]) -> str:
    """Return `ok`, or the reason of the refusal."""
    try:
        await call
    except grpc.aio.AioRpcError as refused:
        return error_info(refused).reason or refused.code().name
    return "ok"


async def _open_all_connections(database: Database) -> None:
    """Let calls that are made at once run at once: a first use that waits for its connection would come last."""
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(database.sessions()) for _ in range(8)]
        await asyncio.gather(*(s.execute(text("SELECT 1")) for s in sessions))


@asynccontextmanager
async def a_house(
    url: str, keyring: Keyring, folder: Path, **settings: Any
) -> AsyncIterator[House]:
    read = Settings.model_validate(
        {
            "database_url": url,
            "listen": f"unix:{folder}/s",
            "identity_file": str(keyring.folder / "identity-orgs.pem"),
            "trust_file": str(keyring.folder / "trust.json"),
            "auth_target": f"unix:{folder}/auth",
            "snapshots_target": f"unix:{folder}/snapshots",
            "encryption_keys": Keys("", {}).renewed().dump(),
            **settings,
        }
    )
    database = await connect(url, application="test")
    await _open_all_connections(database)
    await provide_default_region(database, read)
    wakeups = Wakeups(url, "test")
    listening = asyncio.create_task(wakeups.run((CHANNEL,)))
    verifier, identity = Verifier(keyring.trust()), keyring.identity("orgs")
    server = await build(database, verifier, wakeups, read, identity).start(read.listen)
    async with channel(read.listen, pb, member_pb, region_pb, role_pb, invitation_pb) as opened:
        stubs = (
            OrganizationServiceStub(opened),
            MemberServiceStub(opened),
            RegionServiceStub(opened),
            RoleServiceStub(opened),
            InvitationServiceStub(opened),
        )
        yield House(read, database, keyring, opened, *stubs)
    await server.stop(None)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await database.close()


@pytest.fixture(scope="module")
async def house(
    make_database: MakeDatabase, keyring: Keyring, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("o")
    async with a_house(await make_database("services.orgs"), keyring, folder) as house:
        yield house


@pytest.fixture(scope="module")
async def enforcing(
    make_database: MakeDatabase, keyring: Keyring, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """Give a house whose default region enforces quotas."""
    folder, url = tmp_path_factory.mktemp("e"), await make_database("services.orgs")
    async with a_house(url, keyring, folder, region_enforce_quotas=True) as house:
        yield house
