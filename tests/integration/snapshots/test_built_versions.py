"""Versions that are built: the snapshot stands for what it stood for until the build has ended; a test plays the builder."""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

from chassis.grpc.status import error_info
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from ratoon.snapshots.v1 import version_pb2
from ratoon.snapshots.v1.snapshot_pb2 import SNAPSHOT_STATE_ACTIVE
from services.snapshots.builder.log import BuildLog
from services.snapshots.commands import losses
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.snapshots.test_builds import TEXT, build, claim_of, read_log
from tests.integration.snapshots.world import DIGEST, Member, World, a_world, refused
from tests.soak import rounds

A, B, C = DIGEST, "sha256:" + "b" * 64, "sha256:" + "c" * 64


@pytest.fixture(scope="module")
async def world(make_database: MakeDatabase, keyring: Keyring) -> AsyncIterator[World]:
    """A service with a builder."""
    url = await make_database("services.snapshots")
    with tempfile.TemporaryDirectory(prefix="rtn-") as folder:
        async with a_world(url, keyring, Path(folder), no_builder="") as world:
            yield world


async def _set(
    who: Member, ref: str, text: str = TEXT, *hashes: str, **more: Any
) -> version_pb2.Version:
    asked = pb.Build(dockerfile=text, context_hashes=hashes)
    return await who.set_image(ref, "", build=asked, **more)


async def _builds(world: World, me: Member) -> list[str]:
    rows = await world.database.pool.fetch(
        "SELECT state FROM builds WHERE organization_id = $1 ORDER BY created_at",
        UUID(me.organization),
    )
    return [row["state"] for row in rows]


async def _say(world: World, claim: Any, words: str) -> None:
    async with BuildLog(world.database.sessions, claim, 1 << 20) as log:
        await log.say(words)


async def test_the_old_version_serves_until_the_build_has_ended(world: World, me: Member) -> None:
    made = await me.active("base")
    version = await _set(me, made.id, TEXT, "b", "a", request_id="k")
    assert (version.number, version.image_ref, version.current) == (2, "", False)
    assert version.build_ref.startswith("daytona-")
    assert await me.states("base") == {2: "building", 1: "active*"}
    assert await _set(me, made.id, TEXT, "b", "a", request_id="k") == version
    async with refused("IDEMPOTENCY_KEY_REUSED", grpc.StatusCode.ALREADY_EXISTS):
        await _set(me, made.id, TEXT, "b", request_id="k")
    claim = await claim_of(world, me)
    assert await me.get("base") == made
    assert await me.states("base") == {2: "building", 1: "active*"}
    assert await world.finish(claim, B, entrypoint=["/new"])
    now = await me.get("base")
    assert (now.id, now.state, now.version) == (made.id, SNAPSHOT_STATE_ACTIVE, 2)
    assert (now.ref.endswith(B), now.image_ref, list(now.entrypoint)) == (True, "", ["/new"])
    assert (now.build.dockerfile, list(now.build.context_hashes)) == (TEXT, ["b", "a"])
    assert now.build.ref == version.build_ref
    assert (await me.usage(), await _builds(world, me)) == ((1, 1), ["built"])
    told = await me.told("snapshot_version_created", "snapshot_version_activated")
    assert [said.get("image") for _, said, _ in told] == [version.build_ref, None]
    # What it was before has no Dockerfile.
    back = await me.roll_back(made.id, 1)
    assert (back.current, back.build_ref) == (True, "")
    assert not (await me.get("base")).HasField("build")


async def test_the_same_is_built_once_for_snapshots_and_versions(world: World, me: Member) -> None:
    made, other = await me.active("base"), await me.active("other")
    new = await build(me, "new")
    await asyncio.gather(*(_set(me, s.id) for s in (made, other)))
    assert await _builds(world, me) == ["building"]
    assert await world.finish(await claim_of(world, me), B)
    assert {(await me.get(s.id)).ref[-71:] for s in (made, other, new)} == {B}
    # And not again by who comes later.
    third = await me.active("third")
    assert (await _set(me, third.id)).current
    assert (await me.get(third.id)).build == (await me.get(new.id)).build
    assert await _builds(world, me) == ["built"]
    assert await world.claim(builds=True) is None


async def test_a_build_that_fails_leaves_the_old_one(world: World, me: Member) -> None:
    made = await build(me, "base")
    first = await claim_of(world, me)
    await _say(world, first, "of the first\n")
    await world.finish(first, A)
    made = await me.get("base")
    await _set(me, made.id, "FROM other:1\n", "lost")
    second = await claim_of(world, me)
    reader = read_log(me, "base", follow=True)
    await _say(world, second, "of the second\n")
    await reader.until(b"of the second\n")
    assert await world.fail(second, "CONTEXT_MISSING")
    assert b"CONTEXT_MISSING: cause" in await reader.to_the_end()
    assert await me.get("base") == made
    failed = (await me.versions("base"))[0]
    assert (failed.number, failed.failure.code, failed.failure.reason) == (
        *(2, "CONTEXT_MISSING", "cause"),
    )
    assert await me.states("base") == {2: "error", 1: "active*"}
    async with refused("VERSION_STATE_CONFLICT", grpc.StatusCode.FAILED_PRECONDITION):
        await me.roll_back(made.id, 2)
    # What failed last is what is read, until something else was asked for; by number, everything is.
    assert b"of the second" in await read_log(me, "base").to_the_end()
    assert await read_log(me, "base", version=1).to_the_end() == b"of the first\n"
    await me.set_image(made.id, "alpine:3.21")
    assert await read_log(me, "base").to_the_end() == b"of the first\n"
    assert b"of the second" in await read_log(me, "base", version=2).to_the_end()
    async with refused("BUILD_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        await read_log(me, "base", version=3).to_the_end()
    for number in (4, -1, 2**31 - 1):
        async with refused("VERSION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            await read_log(me, "base", version=number).to_the_end()
    await world.work(C)


@pytest.mark.parametrize("how", ["set_image", "roll_back", "deactivate", "delete"])
async def test_what_takes_its_place_cancels_the_build(world: World, me: Member, how: str) -> None:
    made = await me.active("base")
    await _set(me, made.id)
    claim = await claim_of(world, me)
    await _say(world, claim, "begun\n")
    reader = read_log(me, made.id, follow=True)
    await reader.until(b"begun\n")
    change: dict[str, Callable[[], Awaitable[object]]] = {
        "set_image": lambda: me.set_image(made.id, "alpine:3.21"),
        "roll_back": lambda: me.roll_back(made.id, 1),
        "deactivate": lambda: me.deactivate(made.id),
        "delete": lambda: me.delete(made.id),
    }
    await change[how]()
    assert await reader.to_the_end() == b"begun\n"
    assert not await world.finish(claim, B)
    assert await _builds(world, me) == ["cancelled"]
    await world.work(C)
    await me.delete(made.id)
    await world.erase_all()
    for table in ("builds", "pulls", "artifacts"):
        left = f"SELECT count(*) FROM {table} WHERE organization_id = $1"
        assert await world.database.pool.fetchval(left, UUID(me.organization)) == 0, table


async def test_a_build_goes_on_for_who_still_waits(world: World, me: Member) -> None:
    made, other = await me.active("base"), await me.active("other")
    for snapshot in (made, other):
        await _set(me, snapshot.id)
    claim = await claim_of(world, me)
    leaving, staying = (read_log(me, s.id, follow=True) for s in (made, other))
    await _say(world, claim, "begun\n")
    for reader in (leaving, staying):
        await reader.until(b"begun\n")
    await _set(me, made.id, "FROM other:1\n")
    assert await leaving.to_the_end() == b"begun\n"
    await _say(world, claim, "done\n")
    assert await world.finish(claim, B)
    assert await staying.to_the_end() == b"begun\ndone\n"
    assert await me.states("base") == {3: "building", 2: "superseded", 1: "active*"}
    assert await me.states("other") == {2: "active*", 1: "inactive"}


async def test_a_built_version_that_was_let_go_is_built_again(world: World, me: Member) -> None:
    made = await build(me, "base", TEXT, "a")
    await world.finish(await claim_of(world, me), A, entrypoint=["/old"])
    for n, digest in ((21, B), (22, C)):
        await me.set_image(made.id, f"alpine:3.{n}")
        await world.work(digest)
    await world.trim(kept=1)
    assert {v.number: v.stored for v in await me.versions("base")} == {3: True, 2: False, 1: False}
    again = await me.roll_back(made.id, 1)
    assert (again.number, again.current, again.stored) == (1, False, False)
    assert await me.states("base") == {3: "active*", 2: "inactive", 1: "building"}
    claim = await claim_of(world, me)
    await _say(world, claim, "again\n")
    assert await world.fail(claim, "BUILD_STEP_FAILED")
    assert await me.states("base") == {3: "active*", 2: "inactive", 1: "error"}
    assert (await me.get("base")).version == 3
    assert b"again\n" in await read_log(me, "base", version=1).to_the_end()
    await me.roll_back(made.id, 1)
    # The same recipe; what comes of it need not have the same digest.
    other = "sha256:" + "d" * 64
    assert await world.finish(await claim_of(world, me), other, entrypoint=["/other"])
    now = await me.get("base")
    assert (now.version, now.ref.endswith(other), list(now.entrypoint)) == (1, True, ["/old"])
    assert (now.build.dockerfile, list(now.build.context_hashes)) == (TEXT, ["a"])
    # Of several builds of one version, the last one is told of.
    assert await _builds(world, me) == ["built"]


async def test_what_is_built_again_for_somebody_else_is_taken_at_once(
    world: World, me: Member
) -> None:
    made = await build(me, "base")
    await world.finish(await claim_of(world, me), A)
    await me.set_image(made.id, "alpine:3.21")
    await world.work(B)
    await world.trim(kept=1)
    other = await build(me, "other")
    await world.finish(await claim_of(world, me), C)
    assert (await me.roll_back(made.id, 1)).current
    assert (await me.get("base")).ref == (await me.get(other.id)).ref
    assert await _builds(world, me) == ["built"]


async def test_a_snapshot_that_is_built_again_forgets_the_build_before(
    world: World, me: Member
) -> None:
    made = await build(me, "base")
    await world.finish(await claim_of(world, me), A)
    async with world.database.sessions.begin() as session:
        await losses.lose(session, UUID(me.organization), A)
    await me.activate(made.id)
    assert await _builds(world, me) == ["building"]
    await world.fail(await claim_of(world, me), "BUILD_STEP_FAILED")
    await me.retry(made.id)
    assert await _builds(world, me) == ["building"]


async def test_what_can_be_built_nowhere_is_refused(
    make_database: MakeDatabase, keyring: Keyring, tmp_path: Path
) -> None:
    url = await make_database("services.snapshots")
    async with a_world(url, keyring, tmp_path, no_builder="nobody does") as world:
        me = world.member()
        made = await me.active("base")
        async with refused("BUILDER_UNAVAILABLE", grpc.StatusCode.FAILED_PRECONDITION):
            await _set(me, made.id)
        # It was built when there was a builder; then there is none, and its bytes are gone.
        await me.set_image(made.id, "alpine:3.21")
        await world.work(B)
        await world.trim(kept=1)
        bare = "UPDATE versions SET image_ref = '' WHERE snapshot_id = $1"
        await world.database.pool.execute(bare, UUID(made.id))
        async with refused("VERSION_STATE_CONFLICT", grpc.StatusCode.FAILED_PRECONDITION):
            await me.roll_back(made.id, 1)
        await world.database.pool.execute(
            "WITH built AS (INSERT INTO builds (id, organization_id, key, ref, dockerfile, context_hashes, state)"
            " VALUES (gen_random_uuid(), $2, 'k', 'r', 'FROM a:1', '{}', 'built') RETURNING id)"
            " UPDATE versions SET build_id = built.id FROM built WHERE snapshot_id = $1",
            UUID(made.id),
            UUID(me.organization),
        )
        async with refused("BUILDER_UNAVAILABLE", grpc.StatusCode.FAILED_PRECONDITION):
            await me.roll_back(made.id, 1)
        assert await me.states("base") == {2: "active*", 1: "inactive"}


async def test_what_cannot_be_read_is_refused(me: Member) -> None:
    made = await me.active("base")
    for text, hashes, reason in (
        ("FROM \0", (), "DOCKERFILE_INVALID"),
        (TEXT, ("../a",), "CONTEXT_HASH_INVALID"),
        (" ", (), "IMAGE_OR_BUILD_REQUIRED"),
    ):
        async with refused(reason, grpc.StatusCode.INVALID_ARGUMENT):
            await _set(me, made.id, text, *hashes)
    assert await me.states("base") == {1: "active*"}


_TEXTS = ("FROM a:1\n", "FROM b:1\n")
_FORESEEN = {
    *("", "SNAPSHOT_BUSY", "SNAPSHOT_NOT_FOUND", "SNAPSHOT_STATE_CONFLICT"),
    *("VERSION_NOT_FOUND", "VERSION_STATE_CONFLICT"),
}


async def _some_work(world: World, dice: random.Random) -> None:
    claim = await world.claim(builds=dice.random() < 0.8)
    if claim is None:
        return
    if dice.random() < 0.3:
        await world.fail(claim, "BUILD_STEP_FAILED")
    else:
        await world.finish(claim, f"sha256:{dice.randrange(1 << 128):064x}")


def _act(
    world: World, me: Member, ids: list[str], dice: random.Random
) -> Callable[[], Awaitable[object]]:
    id_, text, number = dice.choice(ids), dice.choice(_TEXTS), dice.randint(1, 4)
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: _set(me, id_, text),
        lambda: _set(me, id_, text),
        lambda: me.set_image(id_, "alpine:3.21"),
        lambda: me.roll_back(id_, number),
        lambda: me.roll_back(id_, number),
        lambda: me.deactivate(id_),
        lambda: me.activate(id_),
        lambda: me.retry(id_),
        lambda: _some_work(world, dice),
        lambda: _some_work(world, dice),
        lambda: world.trim(kept=1),
        lambda: me.delete(id_),
        lambda: build(me, f"new-{dice.randrange(1 << 60)}", text),
        world.erase_all,
    ]
    return dice.choice(acts)


async def _reason(act: Awaitable[object]) -> str:
    """Return why it was refused; empty: it was not."""
    try:
        await act
    except grpc.aio.AioRpcError as said:
        return error_info(said).reason or str(said.details())
    return ""


async def _check(world: World, me: Member) -> None:
    """Assert that there is a build for each work and the other way round, and that somebody tells of each."""
    fetch, organization = world.database.pool.fetch, UUID(me.organization)
    builds = await fetch(
        "SELECT b.state, p.id AS pull_id,"
        " EXISTS (SELECT FROM snapshots AS s WHERE s.build_id = b.id) AS of_snapshot,"
        " EXISTS (SELECT FROM versions AS v WHERE v.build_id = b.id) AS of_version,"
        " EXISTS (SELECT FROM snapshots AS s WHERE s.pull_id = p.id)"
        " OR EXISTS (SELECT FROM versions AS v WHERE v.pull_id = p.id) AS wanted"
        " FROM builds AS b LEFT JOIN pulls AS p ON p.build_id = b.id WHERE b.organization_id = $1",
        organization,
    )
    for row in builds:
        assert (row["state"] == "building") == (row["pull_id"] is not None) == row["wanted"], row
        assert row["of_snapshot"] or row["of_version"], row
    strays = await fetch(
        "SELECT v.pull_id FROM versions AS v JOIN snapshots AS s ON s.id = v.snapshot_id JOIN pulls AS p ON p.id = v.pull_id"
        " WHERE s.organization_id = $1 AND p.build_id IS NOT NULL AND p.build_id IS DISTINCT FROM v.build_id",
        organization,
    )
    assert strays == []


@pytest.mark.parametrize("seed", range(rounds(3, 40)))
async def test_whatever_happens_at_the_same_time(world: World, me: Member, seed: int) -> None:
    dice = random.Random(seed)
    made = [await build(me, name, dice.choice(_TEXTS)) for name in ("one", "two", "three")]
    ids = [snapshot.id for snapshot in made]
    for _ in range(12):
        ids = [s.id for s in (await me.page()).snapshots] or ids
        acts = [_act(world, me, ids, dice) for _ in range(8)]
        reasons = set(await asyncio.gather(*(_reason(act()) for act in acts)))
        assert reasons <= _FORESEEN, (seed, reasons)
        await _check(world, me)
    for snapshot in (await me.page()).snapshots:
        await me.delete(snapshot.id)
    await world.erase_all()
    await world.trim()
    for table in ("builds", "pulls", "artifacts"):
        left = f"SELECT count(*) FROM {table} WHERE organization_id = $1"
        assert await world.database.pool.fetchval(left, UUID(me.organization)) == 0, (seed, table)
