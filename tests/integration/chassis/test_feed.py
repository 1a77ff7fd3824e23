"""The outbox and its feed: nothing skipped, nothing twice, nothing delayed that revokes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from sqlalchemy import text

from chassis.db import Database, connect
from chassis.grpc import feed as feeds
from chassis.grpc.caller import Caller, Verifier
from chassis.grpc.client import channel
from chassis.grpc.server import Server
from chassis.grpc.status import error_info
from chassis.listen import Wakeups
from chassis.outbox import CHANNEL, Feed, announce
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

    consumer = feeds.Consumer("orgs", feed_channel, keyring.identity("auth"), database.sessions)
    task = asyncio.create_task(consumer.run(handle))
    await asyncio.gather(*(_write(database, str(i)) for i in range(50)))
    await asyncio.wait_for(done.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(taken, key=int) == [str(i) for i in range(50)]


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
