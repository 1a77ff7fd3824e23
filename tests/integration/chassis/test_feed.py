"""The outbox and its feed: nothing skipped, nothing twice, nothing delayed that revokes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database, connect
from chassis.grpc import feed as feeds
from chassis.grpc.caller import Caller, Verifier
from chassis.grpc.client import channel
from chassis.grpc.consumer import Consumer, Handle, OwnConsumer
from chassis.grpc.server import Server
from chassis.grpc.status import error_info
from chassis.listen import Wakeups
from chassis.outbox import CHANNEL, Feed, Read, Row, announce
from chassis.schema import FIRST
from ratoon.events.v1 import event_feed_service_pb2 as pb
from ratoon.events.v1 import event_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import (
    EventFeedServiceStub,
    add_EventFeedServiceServicer_to_server,
)
from tests.identities import Keyring
from tests.postgres import Cluster


@dataclass(frozen=True)
class ApiKeyDeleted:
    api_key_id: str
    user_id: str = "u"
    name: str = "n"


@dataclass
class CallerRevoked:
    user_id: str


@pytest.fixture
async def url(cluster: Cluster) -> str:
    name = f"feed{uuid4().hex[:8]}"
    await cluster.admin(f"CREATE DATABASE {name}")
    return cluster.url(name)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = await connect(url, application="test")
    for statement in FIRST:
        await database.pool.execute(statement)
    yield database
    await database.close()


@pytest.fixture
async def wakeups(url: str, database: Database) -> AsyncIterator[Wakeups]:
    wakeups = Wakeups(url, "test")
    task = asyncio.create_task(wakeups.run((CHANNEL,)))
    yield wakeups
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def serving(
    database: Database, wakeups: Wakeups, keyring: Keyring, folder: Path
) -> AsyncIterator[grpc.aio.Channel]:
    server = Server("orgs", Verifier(keyring.trust()))
    servicer = feeds.EventFeedServicer(Feed(database.pool), wakeups)
    server.add(pb, add_EventFeedServiceServicer_to_server, servicer)
    target = f"unix:{folder}/s"
    running = await server.start(target)
    async with channel(target, pb) as opened:
        yield opened
    await running.stop(None)


@pytest.fixture
async def feed_channel(
    database: Database, wakeups: Wakeups, keyring: Keyring, tmp_path: Path
) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(database, wakeups, keyring, tmp_path) as opened:
        yield opened


async def _write(database: Database, key: str) -> None:
    async with database.sessions.begin() as session:
        await announce(session, ApiKeyDeleted(key), organization_id=None)


async def _read(stream: Any) -> pb.WatchResponse:
    answer: pb.WatchResponse = await asyncio.wait_for(stream.read(), 5)
    return answer


async def test_a_consumer_takes_each_event_once(
    database: Database, feed_channel: grpc.aio.Channel, keyring: Keyring
) -> None:
    taken: list[str] = []
    done = asyncio.Event()

    async def handle(_session: object, event: event_pb2.Event) -> None:
        taken.append(event.api_key_deleted.api_key_id)
        if len(taken) == 50:
            done.set()

    consumer = Consumer("orgs", feed_channel, keyring.identity("auth"), database.sessions)
    task = asyncio.create_task(consumer.run(handle))
    await asyncio.gather(*(_write(database, str(i)) for i in range(50)))
    await asyncio.wait_for(done.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(taken, key=int) == [str(i) for i in range(50)]


class Followed(Feed):
    """Notes how far its reader has come: what it was given before, it has taken or left."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.pool)
        self.pool = database.pool
        self.come = asyncio.Condition()
        self.far = (0, 0)
        self.reads = 0

    async def read(self, after: tuple[str, int], limit: int = 500) -> tuple[list[Row], bool]:
        async with self.come:
            self.reads += 1
            self.far = (int(after[0]), after[1])
            self.come.notify_all()
        return await super().read(after, limit)

    async def passed(self) -> None:
        """Return when its reader is behind all that is there now."""
        last = await self.pool.fetchrow(
            "SELECT xid::text, id FROM outbox ORDER BY outbox.xid DESC, id DESC LIMIT 1"
        )
        assert last is not None
        async with asyncio.timeout(10), self.come:
            await self.come.wait_for(lambda: self.far >= (int(last["xid"]), last["id"]))


@asynccontextmanager
async def consuming(
    database: Database, wakeups: Wakeups, handle: Handle, *sources: Feed
) -> AsyncIterator[None]:
    consumers = [OwnConsumer("own", s, wakeups, database.sessions) for s in sources]
    tasks = [asyncio.create_task(c.run(handle)) for c in consumers]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_of_several_that_consume_a_feed_one_takes_each_event(
    database: Database, wakeups: Wakeups
) -> None:
    """Replicas share a cursor; what they do with an event need not bear being done twice."""
    pool = database.pool
    await pool.execute("CREATE TABLE counted (key text)")

    async def count(session: AsyncSession, event: event_pb2.Event) -> None:
        key = {"key": event.api_key_deleted.api_key_id}
        await session.execute(text("INSERT INTO counted VALUES (:key)"), key)

    sources = [Followed(database) for _ in range(3)]
    async with consuming(database, wakeups, count, *sources):
        for n in range(0, 60, 3):
            await asyncio.gather(*(_write(database, str(n + more)) for more in range(3)))
        await asyncio.gather(*(s.passed() for s in sources))
    counted = [row["key"] for row in await pool.fetch("SELECT key FROM counted")]
    assert sorted(counted, key=int) == [str(n) for n in range(60)]


async def test_what_each_has_to_hear_takes_effect_in_each(
    database: Database, feed_channel: grpc.aio.Channel, keyring: Keyring
) -> None:
    """One takes it and moves the cursor; the others hear it too, after that."""
    heard: list[list[str]] = [[], [], []]
    done = [asyncio.Event() for _ in heard]

    def hearing(n: int) -> Handle:
        async def hear(_session: AsyncSession, event: event_pb2.Event) -> None:
            heard[n].append(event.api_key_deleted.api_key_id)
            if heard[n][-1] == "last":
                done[n].set()

        return hear

    me = keyring.identity("auth")
    tasks = [
        asyncio.create_task(
            Consumer("orgs", feed_channel, me, database.sessions, each=True).run(hearing(n))
        )
        for n in range(len(heard))
    ]
    # Whoever begins later begins behind what was taken before.
    async with asyncio.timeout(10):
        while not all(heard):
            await _write(database, "first")
            await asyncio.sleep(0.01)
    for n in range(5):
        await _write(database, str(n))
    await _write(database, "last")
    await asyncio.wait_for(asyncio.gather(*(each.wait() for each in done)), 10)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for each in heard:
        # One that lost between reading and taking may hear something again.
        assert list(dict.fromkeys(each)) == ["first", "0", "1", "2", "3", "4", "last"]


async def test_a_feed_that_was_missed_is_begun_anew_by_one(
    database: Database, wakeups: Wakeups
) -> None:
    """Two find their cursor expired; when the second says so, the first has gone on already."""
    pool = database.pool
    await pool.execute("INSERT INTO feed_cursors VALUES ('own', '1-1')")
    await pool.execute("UPDATE outbox_horizon SET xid = '2', id = 1")
    taken: list[str] = []
    found, goes_on = asyncio.Event(), asyncio.Event()

    class Late(Followed):
        async def start(self, cursor: str) -> tuple[str, int]:
            if cursor == "1-1":
                found.set()
                await goes_on.wait()
            return await super().start(cursor)

    async def take(_session: AsyncSession, event: event_pb2.Event) -> None:
        taken.append(event.api_key_deleted.api_key_id)

    await _write(database, "kept")
    late, first = Late(database), Followed(database)
    async with consuming(database, wakeups, take, late):
        await asyncio.wait_for(found.wait(), 10)
        async with consuming(database, wakeups, take, first):
            await first.passed()
        goes_on.set()
        await _write(database, "next")
        await late.passed()
    assert taken == ["kept", "next"]


async def test_an_open_transaction_holds_the_ordered_feed_back_but_not_the_ungated(
    database: Database, feed_channel: grpc.aio.Channel, keyring: Keyring
) -> None:
    stub = EventFeedServiceStub(feed_channel)
    me = keyring.identity("auth").metadata()
    ungated = stub.Watch(pb.WatchRequest(ungated=True), metadata=me)
    assert not (await _read(ungated)).events
    ordered = stub.Watch(pb.WatchRequest(), metadata=me)
    async with database.sessions.begin() as older:
        await older.execute(text("SELECT pg_current_xact_id()"))
        await announce(older, ApiKeyDeleted("older"))
        await _write(database, "younger")
        at_once = await _read(ungated)
        assert [e.api_key_deleted.api_key_id for e in at_once.events] == ["younger"]
    shown: list[str] = []
    while len(shown) < 2:
        answer = await _read(ordered)
        shown += [e.api_key_deleted.api_key_id for e in answer.events]
    assert shown == ["older", "younger"]
    for stream in (ungated, ordered):
        stream.cancel()


async def test_what_is_held_back_is_not_read_at_every_commit(
    database: Database, wakeups: Wakeups
) -> None:
    source, taken = Followed(database), asyncio.Event()

    async def take(_session: AsyncSession, _event: event_pb2.Event) -> None:
        taken.set()

    async with consuming(database, wakeups, take, source):
        async with database.sessions.begin() as older:
            await older.execute(text("SELECT pg_current_xact_id()"))
            began, before = time.monotonic(), source.reads
            for n in range(200):
                await _write(database, str(n))
            took, reads = time.monotonic() - began, source.reads - before
        assert not taken.is_set()
        # Twenty times a second, and once more when it begins.
        assert reads <= took / 0.05 + 2
        await source.passed()
    assert taken.is_set()


async def test_who_reads_the_same_at_the_same_moment_reads_once(database: Database) -> None:
    await _write(database, "one")
    read = 0

    class Counted(Feed):
        async def _read(self, after: tuple[str, int], limit: int) -> Read:
            nonlocal read
            read += 1
            return await super()._read(after, limit)

    feed = Counted(database.pool)
    place = await feed.start("")
    first, *others = await asyncio.gather(*(feed.read(place) for _ in range(5)))
    assert [len(rows) for rows, _ in (first, *others)] == [1] * 5
    assert read == 1
    # One that is cancelled takes nothing from the others, and who comes later reads anew.
    leaving, staying = (asyncio.create_task(feed.read(place)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await _write(database, "two")
    assert len((await staying)[0]) in (1, 2)
    assert len((await feed.read(place))[0]) == 2
    assert read == 3


async def test_an_ungated_watch_shows_the_types_that_were_asked_for(
    database: Database, feed_channel: grpc.aio.Channel, keyring: Keyring
) -> None:
    me = keyring.identity("auth").metadata()
    asked = pb.WatchRequest(ungated=True, types=["caller_revoked", "membership_ended"])
    stream = EventFeedServiceStub(feed_channel).Watch(asked, metadata=me)
    assert not (await _read(stream)).events
    for key in ("one", "two"):
        await _write(database, key)
    async with database.sessions.begin() as session:
        await announce(session, CallerRevoked(user_id="gone"))
    shown = (await _read(stream)).events
    assert [e.WhichOneof("payload") for e in shown] == ["caller_revoked"]
    stream.cancel()


async def test_what_was_not_asked_for_is_not_read_again(database: Database) -> None:
    feed = Feed(database.pool)
    before = await feed.now()
    await _write(database, "other")
    rows, after = await feed.read_ungated(before, ["caller_revoked"])
    assert not rows
    assert int(after) > int(before)


async def test_a_stranger_may_not_watch(feed_channel: grpc.aio.Channel, keyring: Keyring) -> None:
    stub = EventFeedServiceStub(feed_channel)
    for metadata, code, reason in (
        ((), grpc.StatusCode.UNAUTHENTICATED, "CALLER_TOKEN_INVALID"),
        (
            keyring.identity("gateway").metadata(),
            grpc.StatusCode.PERMISSION_DENIED,
            "SERVICE_REFUSED",
        ),
        (
            keyring.metadata(Caller(credential="oidc", user_id="u")),
            grpc.StatusCode.UNAUTHENTICATED,
            "CREDENTIAL_INVALID",
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Watch(pb.WatchRequest(), metadata=metadata).read()
        assert refused.value.code() is code
        assert error_info(refused.value).reason == reason


async def test_a_cursor_that_is_no_cursor_is_refused(
    feed_channel: grpc.aio.Channel, keyring: Keyring
) -> None:
    stub = EventFeedServiceStub(feed_channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Watch(
            pb.WatchRequest(after="' OR 1"), metadata=keyring.identity("auth").metadata()
        ).read()
    assert error_info(refused.value).reason == "CURSOR_INVALID"


async def test_a_gateway_watches_what_its_users_are_told_and_nothing_else(
    feed_channel: grpc.aio.Channel, keyring: Keyring
) -> None:
    """This feed tells users nothing."""
    stub, gateway = EventFeedServiceStub(feed_channel), keyring.identity("gateway").metadata()
    for request in (
        pb.WatchRequest(),
        pb.WatchRequest(ungated=True),
        pb.WatchRequest(ungated=True, types=["user_changed"]),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Watch(request, metadata=gateway).read()
        assert error_info(refused.value).reason == "SERVICE_REFUSED"


async def test_what_is_large_is_told_in_portions(
    database: Database, feed_channel: grpc.aio.Channel, keyring: Keyring
) -> None:
    """Together it would be more than a reader takes."""
    name = "n" * (400 << 10)
    async with database.sessions.begin() as session:
        for n in range(50):
            await announce(session, ApiKeyDeleted(str(n), name=name))
        await announce(session, ApiKeyDeleted("last"))
    stub = EventFeedServiceStub(feed_channel)
    me = keyring.identity("auth").metadata()
    stream = stub.Watch(pb.WatchRequest(), metadata=me)
    shown: list[str] = []
    async with asyncio.timeout(20):
        while len(shown) < 51:
            answer = await _read(stream)
            assert answer.events
            shown += [e.api_key_deleted.api_key_id for e in answer.events]
            assert {e.api_key_deleted.name for e in answer.events} <= {name, "n"}
    assert shown == [*(str(n) for n in range(50)), "last"]
