"""Builds as they are served: asked for, shared, told of; a test plays the builder."""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

from ratoon.snapshots.v1 import snapshot_pb2
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from services.snapshots.builder.log import BuildLog
from services.snapshots.domain import Claim
from services.snapshots.domain.build import DOCKERFILE_BYTES
from services.snapshots.worker.lease import LeaseLost
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.test_bulk import ACTIVATE, DONE, REFUSED, do
from tests.integration.snapshots.world import Member, World, a_world, refused

TEXT = "FROM alpine:3.20\nRUN true\n"
_DIGEST = "sha256:" + "b" * 64


@pytest.fixture(scope="module")
async def world(make_database: MakeDatabase, keyring: Keyring) -> AsyncIterator[World]:
    """A service with a builder."""
    url = await make_database("services.snapshots")
    with tempfile.TemporaryDirectory(prefix="rtn-") as folder:
        async with a_world(url, keyring, Path(folder), no_builder="") as world:
            yield world


async def build(
    who: Member, name: str = "built", text: str = TEXT, *hashes: str, **more: str
) -> snapshot_pb2.Snapshot:
    build = pb.Build(dockerfile=text, context_hashes=hashes)
    return await who.create(name, "", build=build, **more)


async def _claim(world: World) -> Claim:
    claim = await world.claim(builds=True)
    assert claim is not None
    return claim


def read_log(
    who: Member, ref: str, *, follow: bool = False, offset: int = 0, version: int = 0
) -> "Reader":
    request = pb.StreamBuildLogRequest(
        organization_id=who.organization,
        ref=pb.SnapshotRef(text=ref),
        follow=follow,
        offset=offset,
        version=version,
    )
    return Reader(who.world.stub.StreamBuildLog(request, metadata=who.metadata))


class Reader:
    """Somebody who reads a log."""

    def __init__(
        self, stream: grpc.aio.UnaryStreamCall[pb.StreamBuildLogRequest, pb.StreamBuildLogResponse]
    ) -> None:
        self._stream = stream
        self.seen = b""

    async def until(self, words: bytes) -> None:
        async with asyncio.timeout(20):
            while words not in self.seen:
                piece = await self._stream.read()
                assert isinstance(piece, pb.StreamBuildLogResponse), self.seen
                self.seen += piece.data

    async def to_the_end(self) -> bytes:
        async with asyncio.timeout(20):
            while isinstance(piece := await self._stream.read(), pb.StreamBuildLogResponse):
                self.seen += piece.data
        return self.seen


async def test_what_is_asked_for_is_told(me: Member) -> None:
    made = await build(me, "built", TEXT, "b", "a", request_id="key-1")
    assert made.state == snapshot_pb2.SNAPSHOT_STATE_BUILDING
    assert (made.image_ref, made.ref, list(made.entrypoint)) == ("", "", [])
    said = hashlib.sha256((TEXT + "ab").encode()).hexdigest()
    assert made.build.ref == f"daytona-{said}:daytona"
    assert (made.build.dockerfile, list(made.build.context_hashes)) == (TEXT, ["b", "a"])
    got = await me.get(made.id)
    assert (got.build, got.progress.phase) == (made.build, "waiting")
    assert [s.build for s in (await me.page()).snapshots] == [made.build]
    assert await build(me, "built", TEXT, "b", "a", request_id="key-1") == made
    assert await me.events() == [("snapshot_created", "building")]
    assert await me.usage() == (1, 1)


async def test_builds_obey_names_and_quotas_and_nothing_of_a_refused_one_stays(
    world: World, me: Member
) -> None:
    poor = world.member()
    world.orgs.answers[poor.organization] = limits(quota=1)
    for who in (me, poor):
        await build(who)
    async with refused("SNAPSHOT_QUOTA_EXCEEDED"):
        await build(poor, "other", "FROM b:1\n")
    async with refused("SNAPSHOT_NAME_TAKEN"):
        await build(me, text="FROM b:1\n")
    async with refused("CONTEXT_HASH_INVALID", grpc.StatusCode.INVALID_ARGUMENT):
        await build(me, "c", TEXT, "../a")
    async with refused("DOCKERFILE_INVALID", grpc.StatusCode.INVALID_ARGUMENT):
        await build(me, "c", "FROM \0")
    rows = await world.database.pool.fetch(
        "SELECT dockerfile FROM builds WHERE organization_id = ANY($1)",
        [UUID(me.organization), UUID(poor.organization)],
    )
    assert [row["dockerfile"] for row in rows] == [TEXT] * 2


async def test_ten_who_ask_for_the_same_at_once_share_one_build(world: World, me: Member) -> None:
    made = await asyncio.gather(*(build(me, f"n{n}") for n in range(10)))
    rows = await world.database.pool.fetch(
        "SELECT id FROM builds WHERE organization_id = $1", UUID(me.organization)
    )
    assert len(rows) == 1
    claim = await claim_of(world, me)
    assert await world.finish(claim, _DIGEST)
    got = [await me.get(m.id) for m in made]
    assert {s.state for s in got} == {snapshot_pb2.SNAPSHOT_STATE_ACTIVE}
    assert len({s.ref for s in got}) == 1
    again = await build(me, "again")
    assert (again.state, again.ref) == (snapshot_pb2.SNAPSHOT_STATE_ACTIVE, got[0].ref)
    assert list(again.entrypoint) == ["sleep", "infinity"]
    assert await me.usage() == (11, 11)


async def claim_of(world: World, me: Member) -> Claim:
    """Claim until it is work of this organization: other tests have left theirs."""
    while (claim := await _claim(world)).organization_id != UUID(me.organization):
        await world.fail(claim)
    return claim


async def test_a_log_is_followed_to_the_end_and_never_anothers(world: World, me: Member) -> None:
    made, other = await build(me), await build(me, "other", "FROM other:1\n")
    joined = await build(me, "joined")
    readers = [read_log(me, ref, follow=True) for ref in (made.id, "joined")]
    first = await claim_of(world, me)
    second = await claim_of(world, me)
    if first.build_id != await _build_id(world, made.id):
        first, second = second, first
    sessions = world.database.sessions
    async with BuildLog(sessions, first, 1 << 20) as log, BuildLog(sessions, second, 99) as beside:
        await beside.say("of the other\n")
        await log.say("one\n")
        for reader in readers:
            await reader.until(b"one\n")
        await log.say("two\n")
    assert await world.finish(first, _DIGEST)
    for reader in readers:
        assert await reader.to_the_end() == b"one\ntwo\n"
    assert await read_log(me, joined.id, offset=2).to_the_end() == b"e\ntwo\n"
    assert await read_log(me, made.id, offset=99, follow=True).to_the_end() == b""
    assert await read_log(me, other.id).to_the_end() == b"of the other\n"
    with pytest.raises(LeaseLost):
        async with BuildLog(sessions, first, 1 << 20) as late:
            await late.say("too late\n")
    assert await read_log(me, made.id).to_the_end() == b"one\ntwo\n"


async def _build_id(world: World, snapshot: str) -> UUID:
    found: UUID = await world.database.pool.fetchval(
        "SELECT build_id FROM snapshots WHERE id = $1", UUID(snapshot)
    )
    return found


async def test_a_failure_is_told_by_state_and_log(world: World, me: Member) -> None:
    made = await build(me)
    reader = read_log(me, made.id, follow=True)
    assert await world.fail(await claim_of(world, me), "BUILD_STEP_FAILED")
    assert b"BUILD_STEP_FAILED: cause" in await reader.to_the_end()
    got = await me.get(made.id)
    assert got.state == snapshot_pb2.SNAPSHOT_STATE_BUILD_FAILED
    assert got.failure.code == "BUILD_STEP_FAILED"
    assert await me.usage() == (0, 1)
    # What failed is not what is shared.
    again = await build(me, "again")
    assert again.state == snapshot_pb2.SNAPSHOT_STATE_BUILDING
    assert await read_log(me, again.id).to_the_end() == b""
    assert b"cause" in await read_log(me, made.id).to_the_end()


async def test_a_log_ends_for_who_waits_no_longer(world: World, me: Member) -> None:
    leaving, gone, staying = [await build(me, name) for name in ("leaving", "gone", "staying")]
    readers = [read_log(me, s.id, follow=True) for s in (leaving, gone, staying)]
    claim = await claim_of(world, me)
    async with BuildLog(world.database.sessions, claim, 1 << 20) as log:
        await log.say("begun\n")
        for reader in readers:
            await reader.until(b"begun\n")
        await me.deactivate(leaving.id)
        await me.delete(gone.id)
        for reader in readers[:2]:
            assert await reader.to_the_end() == b"begun\n"
        await log.say("done\n")
    assert await world.finish(claim, _DIGEST)
    assert await readers[2].to_the_end() == b"begun\ndone\n"


async def test_what_was_deactivated_while_it_was_built_is_built_again(
    world: World, me: Member
) -> None:
    made = await build(me)
    await me.deactivate(made.id)
    back = await me.activate(made.id)
    assert back.state == snapshot_pb2.SNAPSHOT_STATE_PENDING
    claim = await claim_of(world, me)
    assert (await me.get(made.id)).state == snapshot_pb2.SNAPSHOT_STATE_BUILDING
    assert await world.finish(claim, _DIGEST)
    assert (await me.get(made.id)).state == snapshot_pb2.SNAPSHOT_STATE_ACTIVE
    await me.deactivate(made.id)
    assert (await me.activate(made.id)).state == snapshot_pb2.SNAPSHOT_STATE_ACTIVE


async def test_the_dockerfile_of_a_general_snapshot_is_its_owners_alone(
    world: World, me: Member
) -> None:
    made = await build(me, "for-all")
    await world.database.pool.execute(
        "UPDATE snapshots SET general = true WHERE id = $1", UUID(made.id)
    )
    stranger = world.member()
    seen = await stranger.get(made.id)
    assert seen.id == made.id
    assert not seen.HasField("build")
    assert not any(s.HasField("build") for s in (await stranger.page()).snapshots)
    async with refused("BUILD_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        await read_log(stranger, made.id).to_the_end()
    assert (await me.get(made.id)).HasField("build")


async def test_pulls_and_builds_are_done_by_who_can(world: World, me: Member) -> None:
    await build(me)
    pull = await me.create("pulled")
    claimed = await world.claim()
    assert claimed is not None
    assert claimed.build_id is None
    assert (await me.get(pull.id)).state == snapshot_pb2.SNAPSHOT_STATE_PULLING
    assert (await claim_of(world, me)).build_id is not None


async def test_many_that_are_brought_back_at_once_are_each_built_from_their_own(
    world: World, me: Member
) -> None:
    texts = {f"n{n}": f"FROM base:{n % 2}\n" for n in range(4)}
    made = [await build(me, name, text) for name, text in texts.items()]
    for snapshot in made:
        await me.deactivate(snapshot.id)
    assert {o for o, _ in await do(me, ACTIVATE, *(s.id for s in made))} == {DONE}
    assert {name: (await me.get(name)).build.dockerfile for name in texts} == texts
    rows = await world.database.pool.fetch(
        "SELECT dockerfile FROM builds WHERE organization_id = $1", UUID(me.organization)
    )
    assert sorted(row["dockerfile"] for row in rows) == sorted(set(texts.values()))


async def test_what_would_have_to_be_built_again_is_refused_where_nothing_is(
    make_database: MakeDatabase, keyring: Keyring, tmp_path: Path
) -> None:
    url, one, other = await make_database("services.snapshots"), tmp_path / "1", tmp_path / "2"
    for folder in (one, other):
        folder.mkdir()
    async with a_world(url, keyring, one, no_builder="") as world:
        me = world.member()
        inactive, failed = await build(me, "inactive"), await build(me, "failed", "FROM other:1\n")
        await me.deactivate(inactive.id)
        assert await world.fail(await claim_of(world, me), "BUILD_STEP_FAILED")
    async with a_world(url, keyring, other, no_builder="it went away") as world:
        me = Member(world, me.organization)
        with pytest.raises(grpc.aio.AioRpcError, match="it went away"):
            await me.activate(inactive.id)
        for again in (me.activate(inactive.id), me.retry(failed.id)):
            async with refused("BUILDER_UNAVAILABLE", grpc.StatusCode.FAILED_PRECONDITION):
                await again
        assert await do(me, ACTIVATE, inactive.id) == [(REFUSED, "BUILDER_UNAVAILABLE")]
        states = {(await me.get(s.id)).state for s in (inactive, failed)}
        assert states == {
            snapshot_pb2.SNAPSHOT_STATE_INACTIVE,
            snapshot_pb2.SNAPSHOT_STATE_BUILD_FAILED,
        }
        assert await me.usage() == (0, 2)
        assert await world.claim(builds=True) is None


async def test_a_page_holds_the_longest_dockerfiles_that_there_can_be(
    world: World, me: Member
) -> None:
    text = "FROM a:1\n#".ljust(DOCKERFILE_BYTES, "x")
    for number in range(100):
        made = await build(me, f"n{number}", f"{text[:-3]}{number:03}")
        await me.deactivate(made.id)
    page = await me.page(page_size=100)
    assert sum(len(s.build.dockerfile) for s in page.snapshots) == 100 * DOCKERFILE_BYTES


async def _told(who: Member) -> list[tuple[str, Any]]:
    """Return what listeners are shown of each event that tells of a snapshot: its state, and what it is built from."""
    rows = await who.world.database.pool.fetch(
        "SELECT coalesce(payload->>'new_state', payload->>'state', 'removed') AS state, payload->'seen'->>'build' AS build"
        " FROM outbox WHERE organization_id = $1 AND payload ? 'seen' ORDER BY id",
        who.organization,
    )
    return [(row["state"], json.loads(row["build"] or "null")) for row in rows]


def _seen(snapshot: snapshot_pb2.Snapshot) -> dict[str, Any]:
    build = snapshot.build
    return {
        "dockerfile": build.dockerfile,
        "context_hashes": list(build.context_hashes),
        "ref": build.ref,
        "create_micros": build.create_time.ToMicroseconds(),
        "update_micros": build.update_time.ToMicroseconds(),
    }


async def test_events_tell_what_it_is_built_from(world: World, me: Member) -> None:
    made = await build(me, "built", TEXT, "b", "a")
    joined = await build(me, "joined", TEXT, "a", "b")
    building = _seen(made)
    assert (building["context_hashes"], _seen(joined)) == (["b", "a"], building)
    assert await world.finish(await claim_of(world, me), _DIGEST)
    built = _seen(await me.get(made.id))
    assert built["update_micros"] > building["update_micros"]
    again = await build(me, "again", TEXT, "a", "b")
    assert _seen(again) == built
    await me.delete(made.id)
    await world.erase_all()
    assert await _told(me) == [
        *[("building", building)] * 2,
        *[("active", built)] * 3,
        *[("removing", built), ("removed", built)],
    ]


async def test_events_of_what_was_not_built_tell_nothing_of_it(world: World, me: Member) -> None:
    await me.active("base")
    assert {build for _, build in await _told(me)} == {None}
