"""The audit log is written from what all contexts tell: nothing is lost, nothing is there twice."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database, connect
from chassis.grpc.caller import Caller, Verifier
from chassis.grpc.client import channel
from chassis.grpc.consumer import Consumer, OwnConsumer
from chassis.grpc.feed import EventFeedServicer
from chassis.grpc.server import Server
from chassis.listen import Wakeups
from chassis.origin import SYSTEM, Origin, current_origin
from chassis.outbox import CHANNEL, Feed, announce
from chassis.schema import FIRST
from gateway.auth import Authenticator
from gateway.errors import Problem
from gateway.refusals import Refusals
from gateway.visit import Visit
from ratoon.auth.v1 import authentication_service_pb2
from ratoon.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub
from ratoon.events.v1 import event_feed_service_pb2 as feed_pb
from ratoon.events.v1 import event_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import add_EventFeedServiceServicer_to_server
from ratoon.orgs.v1 import organization_service_pb2
from ratoon.orgs.v1.audit_service_pb2_grpc import AuditServiceStub
from services.orgs.servicer.audit_feed import into_audit_log
from services.orgs.serving import serve
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.orgs.conftest import House, a_house
from tests.integration.orgs.test_audit import counts, exported, page
from tests.postgres import Cluster

ADA = Origin(user_id="user|ada", email="ada@example.com", source_address="203.0.113.9")


@dataclass(frozen=True)
class Audited:
    action: str
    target_type: str = ""
    target_id: str = ""
    metadata: str = ""


@dataclass(frozen=True)
class SnapshotStateChanged:
    snapshot_id: str
    name: str
    old_state: str
    new_state: str


@asynccontextmanager
async def neighbour(
    cluster: Cluster, keyring: Keyring, name: str, listen: str
) -> AsyncIterator[Database]:
    """Serve the feed of a context that has nothing else."""
    made = f"{name}{uuid4().hex[:8]}"
    await cluster.admin(f"CREATE DATABASE {made}")
    database = await connect(cluster.url(made), application=name)
    for statement in FIRST:
        await database.pool.execute(statement)
    wakeups = Wakeups(cluster.url(made), name)
    listening = asyncio.create_task(wakeups.run((CHANNEL,)))
    server = Server(name, Verifier(keyring.trust()))
    servicer = EventFeedServicer(Feed(database.pool), wakeups)
    server.add(feed_pb, add_EventFeedServiceServicer_to_server, servicer)
    running = await server.start(listen)
    yield database
    await running.stop(None)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await database.close()


async def tell(database: Database, *events: Any, organization_id: object, by: Origin = ADA) -> None:
    before = current_origin.set(by)
    try:
        async with database.sessions.begin() as session:
            await announce(session, *events, organization_id=organization_id)
    finally:
        current_origin.reset(before)


async def logged(house: House, organization_id: str, count: int) -> list[tuple[str, str, str]]:
    """Wait until so many lines are in the log; return who did what to what, in no order."""
    async with asyncio.timeout(20):
        while (answer := await page(house, organization_id)).total_size < count:
            continue
    assert answer.total_size == count
    return sorted((r.actor_id, f"{r.action} {r.target_type}", r.target_id) for r in answer.records)


@pytest.fixture
async def house(
    make_database: MakeDatabase, keyring: Keyring, tmp_path: Path
) -> AsyncIterator[House]:
    """Give a house of its own: what its outbox tells is of one test."""
    async with a_house(await make_database("services.orgs"), keyring, tmp_path) as house:
        yield house


@asynccontextmanager
async def served(house: House, folder: Path) -> AsyncIterator[None]:
    """Run the process over the house's database."""
    stop, listen = asyncio.Event(), f"unix:{folder}/served"
    settings = house.settings.model_copy(update={"listen": listen})
    serving = asyncio.create_task(serve(settings, stop))
    async with channel(listen, organization_service_pb2) as opened, asyncio.timeout(10):
        await opened.channel_ready()
    yield
    stop.set()
    await asyncio.wait_for(serving, 20)


async def test_all_contexts_are_told_of(
    cluster: Cluster, keyring: Keyring, house: House, tmp_path: Path
) -> None:
    user_id, _ = await house.person()
    organization_id = (await house.create(user_id)).id
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(served(house, tmp_path))
        # What the process cannot reach yet does not keep it from the others.
        await logged(house, organization_id, 1)
        auth, snapshots = [
            await stack.enter_async_context(
                neighbour(cluster, keyring, name, f"unix:{tmp_path}/{name}")
            )
            for name in ("auth", "snapshots")
        ]
        await tell(auth, Audited("update", "api_key", "ci"), organization_id=organization_id)
        removal = SnapshotStateChanged("s1", "n", "active", "removing")
        await tell(snapshots, removal, organization_id=organization_id)
        await tell(snapshots, removal, organization_id=organization_id, by=SYSTEM)
        await house.delete(user_id, organization_id)
        lines = await logged(house, organization_id, 4)
    assert set(lines) == {
        ("user|ada", "delete snapshot", "s1"),
        ("user|ada", "update api_key", "ci"),
        (user_id, "create organization", organization_id),
        (user_id, "delete organization", organization_id),
    }
    assert await counts(house) == []


class _Killed(Exception):
    """What a test ends a consumer with, in the middle of a transaction."""


async def test_who_is_killed_between_record_and_cursor_neither_loses_nor_doubles(
    cluster: Cluster, keyring: Keyring, house: House, tmp_path: Path
) -> None:
    organization_id, write = str(uuid4()), into_audit_log("auth")
    dying = 3

    async def killed_at_first(session: AsyncSession, events: Sequence[event_pb2.Event]) -> None:
        nonlocal dying
        await write(session, events)
        if dying:
            dying -= 1
            raise _Killed

    async with neighbour(cluster, keyring, "auth", f"unix:{tmp_path}/auth") as auth:
        for n in range(40):
            await tell(auth, Audited("update", "user", str(n)), organization_id=organization_id)
        async with channel(f"unix:{tmp_path}/auth", feed_pb) as opened:
            for handle in (killed_at_first, write):
                consumer = _consumer("auth audit", opened, keyring, house)
                task = asyncio.create_task(consumer.run_all(handle))
                lines = await logged(house, organization_id, 40)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert sorted(int(target) for _, _, target in lines) == list(range(40))
                # Whoever has lost its cursor is told everything again.
                await house.database.pool.execute("DELETE FROM feed_cursors")
    assert dying == 0
    assert await counts(house) == []


def _consumer(name: str, opened: grpc.aio.Channel, keyring: Keyring, house: House) -> Consumer:
    return Consumer(name, opened, keyring.identity("orgs"), house.database.sessions)


async def test_two_processes_write_one_log(
    cluster: Cluster, keyring: Keyring, house: House, tmp_path: Path
) -> None:
    """Two who read the same feeds at the same time, beside those who write what is in them."""
    organization_id = str(uuid4())
    wakeups = Wakeups(house.settings.database_url.get_secret_value(), "test")
    own = Feed(house.database.pool)
    async with (
        neighbour(cluster, keyring, "auth", f"unix:{tmp_path}/auth") as auth,
        channel(f"unix:{tmp_path}/auth", feed_pb) as opened,
    ):
        tasks = [asyncio.create_task(wakeups.run((CHANNEL,)))]
        for _ in range(2):
            consumer = _consumer("auth audit", opened, keyring, house)
            tasks.append(asyncio.create_task(consumer.run_all(into_audit_log("auth"))))
            consumed = OwnConsumer("orgs audit", own, wakeups, house.database.sessions)
            tasks.append(asyncio.create_task(consumed.run_all(into_audit_log("orgs"))))

        async def writer(database: Database, name: str) -> None:
            for n in range(30):
                told = Audited("update", "region", f"{name} {n}")
                await tell(database, told, organization_id=organization_id)

        await asyncio.gather(
            *(writer(d, f"{w}") for w, d in enumerate((auth, auth, house.database)))
        )
        lines = await logged(house, organization_id, 90)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert len({target for _, _, target in lines}) == 90
    assert await counts(house) == []


async def test_an_event_that_is_older_than_what_is_kept_is_missed_and_no_more(
    house: House,
) -> None:
    organization_id = str(uuid4())
    wakeups = Wakeups(house.settings.database_url.get_secret_value(), "test")
    pool = house.database.pool
    await pool.execute("INSERT INTO feed_cursors VALUES ('orgs audit', '1-1')")
    await pool.execute("UPDATE outbox_horizon SET xid = '2', id = 1")
    await tell(house.database, Audited("update", "region"), organization_id=organization_id)
    consumer = OwnConsumer("orgs audit", Feed(pool), wakeups, house.database.sessions)
    task = asyncio.create_task(consumer.run_all(into_audit_log("orgs")))
    await logged(house, organization_id, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_refusals_of_two_gateways_are_counted_exactly(
    house: House, keyring: Keyring, tmp_path: Path
) -> None:
    organization_id, identity = str(uuid4()), keyring.identity("gateway")
    async with channel(f"unix:{tmp_path}/auth", authentication_service_pb2) as auth:
        authenticator = Authenticator(AuthenticationServiceStub(auth), identity)
        gateways = [
            Refusals(AuditServiceStub(house.channel), identity, authenticator) for _ in range(2)
        ]
        problem = Problem(403, "OWNER_REQUIRED", "no")
        for n in range(300):
            for gateway in gateways:
                # The same request again and again, and many different ones.
                for operation in ("deleteOrganization", f"other {n % 150}"):
                    gateway.note(_visit(operation, organization_id), problem, {})
        told = await asyncio.gather(*(g.tell() for g in gateways for _ in range(2)))
    assert all(told)
    answer = await page(house, organization_id)
    assert answer.total_size == 2 * (1 + 300)
    records = await exported(house, organization_id)
    folded = [r for r in records if "repeated" in r.metadata]
    assert [json.loads(r.metadata)["repeated"] for r in folded] == [300, 300]
    assert await counts(house) == []


def _visit(operation: str, organization_id: str) -> Visit:
    visit = Visit.__new__(Visit)
    visit.incoming, visit.address, visit.operation = {}, "203.0.113.9", operation
    visit.caller = Caller(credential="oidc", user_id="u", organization_id=organization_id)
    visit.stranger = None
    return visit
