"""The whole process but for its process: auth's feed and revocations take effect, the own feed is served, it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from chassis.db import Database, connect
from chassis.grpc.caller import Verifier
from chassis.grpc.client import channel
from chassis.grpc.feed import EventFeedServicer
from chassis.grpc.server import Server
from chassis.grpc.wire import to_timestamp
from chassis.listen import Wakeups
from chassis.outbox import CHANNEL, Feed, announce
from chassis.schema import FIRST
from ratoon.auth.v1 import authentication_pb2
from ratoon.auth.v1 import authentication_service_pb2 as auth_pb
from ratoon.auth.v1.authentication_service_pb2_grpc import (
    AuthenticationServiceServicer,
    add_AuthenticationServiceServicer_to_server,
)
from ratoon.events.v1 import event_feed_service_pb2 as feed_pb
from ratoon.events.v1.event_feed_service_pb2_grpc import (
    EventFeedServiceStub,
    add_EventFeedServiceServicer_to_server,
)
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceStub
from services.orgs.serving import serve
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.orgs.conftest import House, a_house, outcome
from tests.postgres import Cluster


@dataclass(frozen=True)
class UserChanged:
    user_id: str
    name: str
    email: str
    email_verified: bool


class Revocations(AuthenticationServiceServicer):
    """What auth says is revoked, to its only watcher. Of what auth serves, orgs calls nothing else."""

    def __init__(self) -> None:
        self.revoked: asyncio.Queue[authentication_pb2.Revocation] = asyncio.Queue()

    async def WatchRevocations(
        self, request: auth_pb.WatchRevocationsRequest, context: Any
    ) -> AsyncIterator[auth_pb.WatchRevocationsResponse]:
        yield auth_pb.WatchRevocationsResponse()
        while True:
            yield auth_pb.WatchRevocationsResponse(revocations=[await self.revoked.get()])


@dataclass(frozen=True)
class System:
    """A running orgs beside an auth that is not one."""

    house: House
    auth: Database
    revocations: Revocations
    feed: EventFeedServiceStub
    organizations: OrganizationServiceStub

    async def tell(self, *events: UserChanged) -> None:
        async with self.auth.sessions.begin() as session:
            await announce(session, *events)

    async def happened(self, type_: str, organization_id: str) -> None:
        """Wait until orgs announces it."""
        stream = self.feed.Watch(
            feed_pb.WatchRequest(), metadata=self.house.as_machine("snapshots")
        )
        async with asyncio.timeout(10):
            async for answer in stream:
                for event in answer.events:
                    if (event.WhichOneof("payload"), event.organization_id) == (
                        type_,
                        organization_id,
                    ):
                        stream.cancel()
                        return


@asynccontextmanager
async def _auth(
    cluster: Cluster, keyring: Keyring, listen: str
) -> AsyncIterator[tuple[Database, Revocations]]:
    name = f"auth{uuid4().hex[:8]}"
    await cluster.admin(f"CREATE DATABASE {name}")
    database = await connect(cluster.url(name), application="auth")
    for statement in FIRST:
        await database.pool.execute(statement)
    wakeups, revocations = Wakeups(cluster.url(name), "auth"), Revocations()  # type: ignore[abstract]  # see there
    listening = asyncio.create_task(wakeups.run((CHANNEL,)))
    server = Server("auth", Verifier(keyring.trust()))
    servicer = EventFeedServicer(Feed(database.pool), wakeups)
    server.add(feed_pb, add_EventFeedServiceServicer_to_server, servicer)
    server.add(auth_pb, add_AuthenticationServiceServicer_to_server, revocations)
    running = await server.start(listen)
    yield database, revocations
    await running.stop(None)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await database.close()


@pytest.fixture
async def system(
    cluster: Cluster, make_database: MakeDatabase, keyring: Keyring, tmp_path: Path
) -> AsyncIterator[System]:
    """Give a system whose orgs is the one of `serve`; the house beside it serves to make things ready."""
    stop, url = asyncio.Event(), await make_database("services.orgs")
    listen = f"unix:{tmp_path}/served"
    async with (
        _auth(cluster, keyring, f"unix:{tmp_path}/auth") as (auth, revocations),
        a_house(url, keyring, tmp_path) as house,
        channel(listen, feed_pb, pb) as opened,
    ):
        serving = asyncio.create_task(
            serve(house.settings.model_copy(update={"listen": listen}), stop)
        )
        async with asyncio.timeout(10):
            await opened.channel_ready()
        stubs = EventFeedServiceStub(opened), OrganizationServiceStub(opened)
        yield System(house, auth, revocations, *stubs)
        stop.set()
        await asyncio.wait_for(serving, 10)


async def test_what_auth_tells_of_users_takes_effect(system: System) -> None:
    user_id, organization_id = await system.house.person(verified=False)
    other, others = await system.house.person(verified=False)
    address = f"{user_id}@example.com"
    await system.tell(
        UserChanged(other, "Bo", "new@example.com", False),
        UserChanged(user_id, "Ada L.", address, True),
    )
    await system.happened("organization_changed", organization_id)
    assert not (await system.house.get(user_id, organization_id)).HasField("suspension")
    assert (await system.house.get(other, others)).HasField("suspension")
    people = await system.house.database.pool.fetch("SELECT * FROM people ORDER BY name")
    assert [tuple(p) for p in people] == [
        (user_id, "Ada L.", address, True),
        (other, "Bo", "new@example.com", False),
    ]


async def test_a_new_address_is_not_verified_because_the_old_one_was(system: System) -> None:
    user_id, _ = await system.house.person(verified=True)
    waiting, last = await system.house.person(verified=False)
    await system.tell(
        UserChanged(user_id, "Ada", "new@example.com", False),
        UserChanged(waiting, "Bo", "bo@example.com", True),
    )
    await system.happened("organization_changed", last)
    verified = await system.house.database.pool.fetchval(
        "SELECT email_verified FROM people WHERE user_id = $1", user_id
    )
    assert verified is False


async def test_what_auth_revokes_is_refused(system: System) -> None:
    user_id, organization_id = await system.house.person()
    token = system.house.as_user(user_id, organization_id, "owner")
    request = pb.GetOrganizationRequest(organization_id=organization_id)
    assert await outcome(system.organizations.GetOrganization(request, metadata=token)) == "ok"
    revocation = authentication_pb2.Revocation(
        user_id=user_id, time=to_timestamp(datetime.now(UTC))
    )
    await system.revocations.revoked.put(revocation)
    async with asyncio.timeout(10):
        while (
            said := await outcome(system.organizations.GetOrganization(request, metadata=token))
        ) == "ok":
            continue
    assert said == "CALLER_TOKEN_INVALID"


async def test_a_task_that_dies_ends_the_process(
    make_database: MakeDatabase, keyring: Keyring, tmp_path: Path
) -> None:
    url = await make_database("services.orgs")
    async with a_house(url, keyring, tmp_path) as house:
        await house.database.pool.execute("DROP TABLE outbox_horizon")
        settings = house.settings.model_copy(update={"listen": f"unix:{tmp_path}/served"})
        with pytest.raises(ExceptionGroup):
            async with asyncio.timeout(10):
                await serve(settings, asyncio.Event())
