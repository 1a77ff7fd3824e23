"""Live events, heard by the client that the published libraries use, and by others who speak worse."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
import socketio

from chassis.grpc.caller import Caller
from gateway.__main__ import follow
from gateway.app import Gateway
from gateway.live import connection, door, packets
from gateway.server import serve
from ratoon.events.v1 import event_pb2
from tests.gateway_fakes import ACCOUNT, KEY, ORG, OTHER, OWNER, SHOWN_STAMP, Fakes, Known
from tests.gateway_fakes.feed import created, lent, moved, removed, unshared
from tests.identities import Keyring

EVENTS = ("snapshot.created", "snapshot.state.updated", "snapshot.removed")
BESIDES = ("snapshot.shared", "snapshot.unshared", "organization.deleted")


@dataclass
class Ear:
    """A client of the kind that the published libraries use, and what it heard."""

    client: socketio.AsyncClient
    heard: list[tuple[str, Any]] = field(default_factory=list)
    refused: list[Any] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, count: int) -> list[tuple[str, Any]]:
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.heard


@dataclass
class Stage:
    fakes: Fakes
    gateway: Gateway
    url: str

    @asynccontextmanager
    async def ear(self, token: str = KEY, organization: str = "") -> AsyncIterator[Ear]:
        client = socketio.AsyncClient(reconnection=False)
        ear = Ear(client)

        def hear(name: str) -> None:
            async def handle(said: Any) -> None:
                ear.heard.append((name, said))
                ear.changed.set()

            client.on(name, handle)

        async def gone(*_: Any) -> None:
            ear.gone.set()

        async def refused(said: Any) -> None:
            ear.refused.append(said)

        for name in (*EVENTS, *BESIDES):
            hear(name)
        client.on("disconnect", gone)
        client.on("connect_error", refused)
        query = f"?organizationId={organization}" if organization else ""
        try:
            await client.connect(
                self.url + query,
                socketio_path="/api/socket.io/",
                auth={"token": token},
                transports=["websocket"],
                wait_timeout=10,
            )
            yield ear
        finally:
            await client.disconnect()

    @asynccontextmanager
    async def raw(self, query: str = "EIO=4&transport=websocket") -> AsyncIterator[Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.url}/api/socket.io/?{query}") as opened,
        ):
            yield opened


@pytest.fixture(scope="module")
async def shared(
    keyring: Keyring, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    fakes = Fakes(keyring, tmp_path_factory.mktemp("l"))
    await fakes.start()
    async with staged(fakes) as stage:
        yield stage
    await fakes.stop()


@pytest.fixture
async def stage(shared: Stage) -> AsyncIterator[Stage]:
    """Nobody listens when a test begins."""
    yield shared
    await shared.fakes.feed.calls.until(lambda _: not shared.fakes.feed.watchers)
    assert shared.gateway.rooms.listeners == 0


@asynccontextmanager
async def staged(fakes: Fakes, **changes: Any) -> AsyncIterator[Stage]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stop = asyncio.Event()
    async with fakes.gateway(**changes) as (gateway, app):
        serving = asyncio.create_task(serve(app, f"127.0.0.1:{port}", stop))
        async with asyncio.timeout(10):
            while not await _connects(port):
                continue
        yield Stage(fakes, gateway, f"http://127.0.0.1:{port}")
        stop.set()
        await asyncio.wait_for(serving, 20)


async def _connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_what_happens_is_heard_as_published(stage: Stage) -> None:
    async with stage.ear() as ear:
        stage.fakes.feed.happen(created("s1"))
        stage.fakes.feed.happen(moved("s1", "pending", "active", 1_767_225_601_500_000))
        stage.fakes.feed.happen(removed("s1"))
        heard = await ear.until(3)
    (first, made), (second, change), (third, gone) = heard
    assert (first, second, third) == EVENTS
    assert (made["id"], made["state"], made["organizationId"]) == ("s1", "pending", ORG)
    assert (made["imageName"], made["mem"], made["createdAt"]) == ("alpine:3", 1, SHOWN_STAMP)
    assert set(change) == {"snapshot", "oldState", "newState"}
    assert (change["oldState"], change["newState"]) == ("pending", "active")
    assert (change["snapshot"]["state"], change["snapshot"]["updatedAt"]) == (
        "active",
        "2026-01-01T00:00:01.500Z",
    )
    assert gone["id"] == "s1"
    assert set(gone) == set(made) == set(change["snapshot"])


async def test_a_failure_is_shown(stage: Stage) -> None:
    async with stage.ear() as ear:
        failure: dict[str, Any] = {
            "failure_code": "X",
            "failure_reason": "why",
            "failure_remedy": "how",
        }
        stage.fakes.feed.happen(moved("s1", "pulling", "error", **failure))
        ((_, said),) = await ear.until(1)
    shown = said["snapshot"]
    assert (shown["errorCode"], shown["errorReason"], shown["errorRemedy"]) == ("X", "why", "how")


async def test_both_sides_of_a_share_hear_of_it(stage: Stage) -> None:
    async with stage.ear() as owner, stage.ear(ACCOUNT, OTHER) as receiver:
        for told in (lent, unshared):
            stage.fakes.feed.happen(*(told("s1", side, ORG, OTHER) for side in (ORG, OTHER)))
        sides = {"id": "s1", "name": "base", "ownerId": ORG, "receiverId": OTHER}
        until = "2026-12-01T00:00:00+00:00"
        for ear in (owner, receiver):
            assert await ear.until(2) == [
                ("snapshot.shared", {**sides, "rights": ["read"], "expiresAt": until}),
                ("snapshot.unshared", {**sides, "cause": "expired"}),
            ]


async def test_what_it_is_built_from_is_shown(stage: Stage) -> None:
    second = 1_767_225_600_000_000
    build = event_pb2.BuildSeen(
        dockerfile="FROM a:1\n",
        context_hashes=["b", "a"],
        ref="daytona-x:daytona",
        create_micros=second,
        update_micros=second + 500_000,
    )
    async with stage.ear() as ear:
        stage.fakes.feed.happen(moved("s1", "building", "active", build=build))
        ((_, said),) = await ear.until(1)
    assert said["snapshot"]["buildInfo"] == {
        "dockerfileContent": "FROM a:1\n",
        "contextHashes": ["b", "a"],
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.500Z",
        "snapshotRef": "daytona-x:daytona",
    }


async def test_nobody_hears_what_happens_elsewhere(stage: Stage) -> None:
    async with stage.ear() as mine, stage.ear(ACCOUNT, OTHER) as theirs:
        stage.fakes.feed.happen(created("mine", ORG), created("theirs", OTHER))
        stage.fakes.feed.happen(created("last", ORG), created("last", OTHER))
        assert [said["id"] for _, said in await mine.until(2)] == ["mine", "last"]
        assert [said["id"] for _, said in await theirs.until(2)] == ["theirs", "last"]


async def test_once_and_in_order_whatever_the_feed_tells(stage: Stage) -> None:
    """An ungated feed tells now and then twice, and in the order in which transactions began."""
    states = ["pending", "pulling", "active", "inactive", "removing"]
    steps = [
        moved("s1", old, new, 1_767_225_602_000_000 + n)
        for n, (old, new) in enumerate(pairwise(states))
    ]
    async with stage.ear() as ear:
        first = created("s1")
        stage.fakes.feed.happen(steps[1], first, steps[0])
        stage.fakes.feed.happen(
            steps[0], removed("s1", 1_767_225_602_000_003), steps[3], steps[2], first
        )
        heard = await ear.until(6)
        stage.fakes.feed.happen(created("last"))
        await ear.until(7)
    assert [name for name, _ in heard[:6]] == [EVENTS[0], *[EVENTS[1]] * 4, EVENTS[2]]
    assert [said["newState"] for _, said in heard[1:5]] == states[1:]


async def test_one_watch_for_all_and_only_while_somebody_listens(stage: Stage) -> None:
    feed = stage.fakes.feed
    async with stage.ear() as one, stage.ear(OWNER, ORG) as other:
        assert len(feed.watchers) == 1
        feed.happen(created("s1"))
        await asyncio.gather(one.until(1), other.until(1))
    await feed.calls.until(lambda _: not feed.watchers)
    async with stage.ear() as again:
        feed.happen(created("s2"))
        await again.until(1)
    asked = feed.calls.last("Watch")
    assert asked.ungated
    assert set(asked.types) == {
        *("snapshot_created", "snapshot_state_changed", "snapshot_removed"),
        *("snapshot_shared", "snapshot_unshared"),
    }


@pytest.mark.parametrize(
    ("token", "organization", "code"),
    [
        ("dtn_" + "0" * 64, "", "CREDENTIAL_INVALID"),
        ("", "", "CREDENTIAL_INVALID"),
        # The reference lets anybody into the room that the query names.
        (OWNER, "00000000-0000-4000-8000-00000000dead", "ORGANIZATION_FORBIDDEN"),
        (OWNER, "", "ORGANIZATION_REQUIRED"),
    ],
)
async def test_who_may_not_listen_is_refused(
    stage: Stage, token: str, organization: str, code: str
) -> None:
    query = f"EIO=4&transport=websocket&organizationId={organization}"
    async with stage.raw(query) as opened:
        assert (await opened.receive_str()).startswith("0{")
        await opened.send_str("40" + json.dumps({"token": token}))
        said = await opened.receive_str()
        assert said.startswith("44{")
        assert json.loads(said[2:])["data"] == {"code": code}
        assert (await opened.receive()).type is aiohttp.WSMsgType.CLOSE
    assert not stage.fakes.feed.watchers


async def test_a_key_hears_of_its_own_organization_whatever_it_says(stage: Stage) -> None:
    async with stage.ear(KEY, OTHER) as ear:
        stage.fakes.feed.happen(created("theirs", OTHER), created("own", ORG))
        ((_, said),) = await ear.until(1)
    assert said["id"] == "own"


async def test_who_listens_in_an_organization_that_is_deleted_is_told_so_and_dropped(
    stage: Stage,
) -> None:
    following = asyncio.create_task(follow(stage.gateway))
    async with asyncio.timeout(10):
        # Everybody is dropped when the watch begins.
        while not stage.gateway.authenticator._watch:
            await asyncio.sleep(0)
    async with stage.ear() as member, stage.ear(ACCOUNT, OTHER) as other:
        stage.fakes.feed.happen(created("s1"))
        await member.until(1)
        stage.fakes.auth.revoke(organization_id=ORG, organization_deleted=True)
        await asyncio.wait_for(member.gone.wait(), 10)
        assert member.heard[1:] == [("organization.deleted", {"id": ORG})]
        stage.fakes.feed.happen(created("s2", OTHER))
        assert [name for name, _ in await other.until(1)] == ["snapshot.created"]
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_who_says_nothing_takes_no_place_from_who_does(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "_MOST_STRANGERS", 2)
    async with stage.ear() as ear, stage.raw() as one, stage.raw() as other:
        for silent in (one, other):
            assert (await silent.receive_str()).startswith("0{")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with stage.raw():
                pass
        assert refused.value.status == 503
        await one.send_str("40" + json.dumps({"token": KEY}))
        assert (await one.receive_str()).startswith("40{")
        # It is known now, and its place is free.
        async with stage.ear():
            stage.fakes.feed.happen(created("s1"))
            await ear.until(1)


async def test_who_is_revoked_is_dropped_at_once(stage: Stage) -> None:
    async with stage.ear(ACCOUNT, ORG) as concerned, stage.ear() as other:
        (listener,) = [one for one in stage.gateway.rooms._rooms[ORG] if one.caller.account_key]
        key = listener.caller.api_key_id
        stage.gateway.rooms.revoke(0.0, "another key", "", "")
        stage.gateway.rooms.revoke(0.0, key, "", OTHER)
        stage.gateway.rooms.revoke(0.0, key, "", ORG)
        stage.fakes.feed.happen(created("s1"))
        await asyncio.wait_for(concerned.gone.wait(), 10)
        await other.until(1)
        assert concerned.heard == []


async def test_what_ends_by_itself_is_noticed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packets, "PING_SECONDS", 0.05)
    known, passing = stage.fakes.auth.known, "dtn_" + "7" * 64
    known[passing] = known[KEY]
    async with stage.ear(passing) as ear:
        del known[passing]
        stage.gateway.authenticator.stand()
        await asyncio.wait_for(ear.gone.wait(), 10)


async def test_when_the_feed_is_cut_everybody_is_told_to_come_back(stage: Stage) -> None:
    async with stage.ear() as ear:
        stage.fakes.feed.cut()
        await asyncio.wait_for(ear.gone.wait(), 10)
    async with stage.ear() as ear:
        stage.fakes.feed.happen(created("s1"))
        await ear.until(1)


async def test_without_the_feed_nobody_is_let_in(stage: Stage) -> None:
    await stage.fakes.stop_one("snapshots")
    async with stage.raw() as opened:
        await opened.receive_str()
        await opened.send_str("40" + json.dumps({"token": KEY}))
        said = await opened.receive_str()
    assert json.loads(said[2:])["data"] == {"code": "EVENTS_UNAVAILABLE"}
    await stage.fakes.start_one("snapshots")


async def test_there_is_a_most(shared: Stage) -> None:
    limits = {"set_listeners_of_organization": 3, "set_listeners_of_credential": 2}
    async with staged(shared.fakes, **limits) as stage, stage.ear(), stage.ear():
        for token in (KEY, ACCOUNT, ACCOUNT):
            query = f"EIO=4&transport=websocket&organizationId={ORG}"
            async with stage.raw(query) as opened:
                await opened.receive_str()
                await opened.send_str("40" + json.dumps({"token": token}))
                said = await opened.receive_str()
                if token == KEY:
                    assert json.loads(said[2:])["data"] == {"code": "LISTENER_LIMIT_REACHED"}
                else:
                    assert said.startswith("40")


@pytest.mark.parametrize(
    "words",
    [
        *(["hello"], ["2"], ["3"], ["42[]"], ["40{"], ["40[]"], [b"bytes"], ["x" * 70_000]),
        [f'40{{"token":"{KEY}"}}', "nonsense"],
        [f'40{{"token":"{KEY}"}}', f'40{{"token":"{KEY}"}}'],
        [f'40{{"token":"{KEY}"}}', *['42["x"]'] * 300],
    ],
    ids=lambda words: str(words[-1])[:12],
)
async def test_who_speaks_something_else_is_sent_away(
    stage: Stage, words: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.raw() as opened:
        try:
            for word in words:
                await (opened.send_bytes if isinstance(word, bytes) else opened.send_str)(word)
        except ConnectionError:
            pass
        async with asyncio.timeout(10):
            while (await opened.receive()).type is aiohttp.WSMsgType.TEXT:
                continue
        assert opened.closed
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_other_namespaces_are_unknown(stage: Stage) -> None:
    async with stage.raw() as opened:
        await opened.receive_str()
        await opened.send_str("40/admin," + json.dumps({"token": KEY}))
        said = await opened.receive_str()
    assert json.loads(said[2:])["data"] == {"code": "NAMESPACE_UNKNOWN"}


async def test_who_says_nothing_is_not_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_FIRST_WORD_SECONDS", 0.05)
    async with stage.raw() as opened:
        await opened.receive_str()
        closed = await asyncio.wait_for(opened.receive(), 10)
        assert closed.type is aiohttp.WSMsgType.CLOSE


async def test_who_does_not_answer_is_not_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packets, "PING_SECONDS", 0.05)
    async with stage.raw() as opened:
        await opened.receive_str()
        await opened.send_str("40" + json.dumps({"token": KEY}))
        assert (await opened.receive_str()).startswith("40")
        assert await opened.receive_str() == "2"
        closed = await asyncio.wait_for(opened.receive(), 10)
        assert closed.type is aiohttp.WSMsgType.CLOSE


async def test_read_scopes_hold_here_too(stage: Stage) -> None:
    """A key that lists read scopes, and not that of snapshots, hears nothing of them."""
    caller = Caller(
        credential="api_key",
        user_id="u",
        organization_id=ORG,
        organization_role="owner",
        api_key_id="k9",
        permissions=frozenset({"read:regions"}),
    )
    stage.fakes.auth.known["dtn_" + "9" * 64] = Known(caller)
    async with stage.raw() as opened:
        await opened.receive_str()
        await opened.send_str("40" + json.dumps({"token": "dtn_" + "9" * 64}))
        said = await opened.receive_str()
    assert json.loads(said[2:])["data"] == {"code": "PERMISSION_MISSING"}


async def test_in_maintenance_nobody_listens(shared: Stage) -> None:
    async with staged(shared.fakes, maintenance=True) as stage:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with stage.raw():
                pass
    assert refused.value.status == 503


async def test_only_this_protocol_is_spoken(stage: Stage) -> None:
    for query in ("EIO=3&transport=websocket", "EIO=4&transport=polling", ""):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with stage.raw(query):
                pass
        assert refused.value.status == 400
