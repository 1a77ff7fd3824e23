"""auth served over a socket, with a fake of orgs beside it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import grpc
import pytest

from chassis.db import Database, connect
from chassis.grpc.caller import Caller, Verifier
from chassis.grpc.client import channel
from chassis.grpc.status import error_info
from chassis.permissions import ALL
from ratoon.auth.v1 import (
    api_key_service_pb2,
    authentication_service_pb2,
    user_service_pb2,
)
from ratoon.auth.v1.api_key_service_pb2_grpc import ApiKeyServiceStub
from ratoon.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub
from ratoon.auth.v1.user_service_pb2_grpc import UserServiceStub
from services.auth.domain.machines import ServiceCredentials
from services.auth.domain.people import Issuer
from services.auth.peers import SERVICES
from services.auth.serving import Auth
from tests.conftest import MakeDatabase
from tests.fakes import FakeOrgs, OrgsServer, orgs_serving
from tests.identities import Keyring
from tests.issuer import TestIssuer
from tests.postgres import Cluster

HEALTH = "Zq3vT8wLx1Rk9mBn5cYd7hGf2jUp4sAe"


@dataclass
class World:
    """One auth, its neighbour, and ways to speak to it."""

    database: Database
    orgs_server: OrgsServer
    keyring: Keyring
    channel: grpc.aio.Channel
    target: str
    verifier: Verifier = field(init=False)

    def __post_init__(self) -> None:
        self.verifier = Verifier(self.keyring.trust())
        self.keys = ApiKeyServiceStub(self.channel)
        self.authentication = AuthenticationServiceStub(self.channel)
        self.users = UserServiceStub(self.channel)

    @property
    def orgs(self) -> FakeOrgs:
        return self.orgs_server.fake

    def by(self, machine: str) -> Any:
        return self.keyring.identity(machine).metadata()

    def owner(self, user_id: str, organization_id: str) -> Any:
        """Call metadata of an owner with an OIDC token."""
        return self.person(user_id, organization_id, "owner", ALL)

    def person(
        self, user_id: str, organization_id: str, role: str, permissions: Sequence[str] | Any
    ) -> Any:
        caller = Caller(
            credential="oidc",
            user_id=user_id,
            organization_id=organization_id,
            organization_role=role,
            permissions=frozenset(permissions),
        )
        return self.keyring.metadata(caller)

    @staticmethod
    def request(
        credential: str, path: str = "", header: str = ""
    ) -> authentication_service_pb2.AuthenticateRequest:
        return authentication_service_pb2.AuthenticateRequest(
            credential=credential, path_organization_id=path, header_organization_id=header
        )

    async def authenticate(
        self, credential: str, path: str = "", header: str = ""
    ) -> authentication_service_pb2.AuthenticateResponse:
        return await self.authentication.Authenticate(
            self.request(credential, path, header), metadata=self.by("gateway")
        )

    def watch(self) -> Any:
        return self.authentication.WatchRevocations(
            authentication_service_pb2.WatchRevocationsRequest(), metadata=self.by("gateway")
        )

    async def add_user(
        self, email: str = "", **fields: Any
    ) -> tuple[user_service_pb2.AddUserResponse, str]:
        """Make a user; return the answer and the id of the personal organization."""
        request = user_service_pb2.AddUserRequest(
            email=email or f"{uuid4().hex[:8]}@example.org", **fields
        )
        added = await self.users.AddUser(request, metadata=self.by("operator"))
        return added, self.orgs.personal[added.user.id]

    async def create_key(
        self, metadata: Any, organization_id: str, name: str = "", **fields: Any
    ) -> api_key_service_pb2.CreateApiKeyResponse:
        request = api_key_service_pb2.CreateApiKeyRequest(
            organization_id=organization_id, name=name or f"k-{uuid4().hex[:8]}", **fields
        )
        return await self.keys.CreateApiKey(request, metadata=metadata)


async def start(
    url: str, orgs_server: OrgsServer, keyring: Keyring, folder: Path, issuer: Issuer | None
) -> tuple[World, Any]:
    database = await connect(url, application="auth")
    orgs = channel(orgs_server.target, *SERVICES)
    machines = ServiceCredentials({"health-check": HEALTH})
    auth = Auth(database, url, orgs, keyring.identity("auth"), keyring.trust(), machines, issuer)
    target = f"unix:{folder}/auth-{uuid4().hex[:6]}"
    server = await auth.server().start(target)
    opened = channel(target, api_key_service_pb2, authentication_service_pb2, user_service_pb2)

    async def stop() -> None:
        await opened.close()
        await server.stop(None)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await orgs.close()
        await database.close()

    world = World(database, orgs_server, keyring, opened, target)
    stream = world.watch()
    await stream.read()
    running = asyncio.create_task(auth.run())
    # Orgs is followed from here on: with that word, whoever was established before is revoked.
    await asyncio.wait_for(stream.read(), 20)
    stream.cancel()
    return world, stop


@pytest.fixture
def folder() -> Any:
    # Paths of sockets must be short.
    with TemporaryDirectory(prefix="rtn-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
async def orgs_server(
    cluster: Cluster, keyring: Keyring, folder: Path
) -> AsyncIterator[OrgsServer]:
    async with orgs_serving(cluster, keyring, folder) as server:
        yield server


@pytest.fixture
async def url(make_database: MakeDatabase) -> str:
    return await make_database("services.auth")


@pytest.fixture
def provider() -> Iterator[TestIssuer]:
    provider = TestIssuer()
    yield provider
    provider.close()


@pytest.fixture
def issuer() -> Issuer | None:
    return None


@pytest.fixture
async def world(
    url: str, orgs_server: OrgsServer, keyring: Keyring, folder: Path, issuer: Issuer | None
) -> AsyncIterator[World]:
    world, stop = await start(url, orgs_server, keyring, folder, issuer)
    yield world
    await stop()


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """Return code and reason with which a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), error_info(refused.value).reason
