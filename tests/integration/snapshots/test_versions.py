"""Versions of a snapshot: it stands for one until the next one is there, whatever happens meanwhile."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from chassis.grpc.status import error_info
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_pb2 import (
    SNAPSHOT_STATE_ACTIVE,
    SNAPSHOT_STATE_INACTIVE,
    SNAPSHOT_STATE_PENDING,
)
from services.snapshots.commands import losses
from services.snapshots.domain import CONSUMING, VERSIONS_REMEMBERED
from tests.integration.snapshots.test_limits import apply, suspended
from tests.integration.snapshots.world import DIGEST, Member, World, refused
from tests.soak import rounds

A, B, C = DIGEST, "sha256:" + "b" * 64, "sha256:" + "c" * 64
EVENTS = ("snapshot_version_created", "snapshot_version_activated", "audited")


async def _numbers(me: Member) -> list[tuple[str, Any]]:
    return [
        (type_.removeprefix("snapshot_version_"), said.get("number"))
        for type_, said, _ in await me.told(*EVENTS)
    ]


async def test_the_next_version_takes_over_when_it_is_there(world: World, me: Member) -> None:
    made = await me.active("base")
    assert (made.version, await me.states("base")) == (1, {1: "active*"})
    version = await me.set_image(made.id, "alpine:3.21")
    assert (version.number, version.image_ref, version.current) == (2, "alpine:3.21", False)
    assert version.created_by == "user-" + me.organization
    assert await me.states("base") == {2: "pending", 1: "active*"}
    assert await me.get("base") == made
    claim = await world.claim()
    assert claim is not None
    assert (claim.image_ref, claim.digest) == ("alpine:3.21", "")
    assert await me.states(made.id) == {2: "pulling", 1: "active*"}
    assert (await me.versions("base"))[0].progress.phase == "resolving"
    assert await me.get(made.id) == made
    assert await world.finish(claim, B)
    now = await me.get("base")
    assert (now.id, now.state, now.version) == (made.id, SNAPSHOT_STATE_ACTIVE, 2)
    assert (now.image_ref, now.ref.endswith(B)) == ("alpine:3.21", True)
    assert (now.create_time, await me.usage()) == (made.create_time, (1, 1))
    new, old = await me.versions("base")
    assert (new.number, new.current, new.stored, new.ref) == (2, True, True, now.ref)
    assert (old.number, old.current, old.stored, old.ref) == (1, False, True, made.ref)
    assert (old.image_ref, old.create_time) == ("alpine:3.20", made.create_time)
    assert old.created_by == "user-" + me.organization
    assert await _numbers(me) == [("created", 2), ("activated", 2)]
    # Nothing of that is a change of state.
    assert [state for type_, state in await me.events() if type_ == "snapshot_state_changed"] == [
        "pulling",
        "active",
    ]


async def test_a_version_that_fails_leaves_the_old_one(world: World, me: Member) -> None:
    made = await me.active("base")
    await me.set_image(made.id, "alpine:nope")
    claim = await world.claim()
    assert claim is not None
    assert await world.fail(claim)
    assert await me.get("base") == made
    failed = (await me.versions("base"))[0]
    assert (failed.number, failed.failure.code) == (2, "IMAGE_NOT_FOUND")
    assert await me.states("base") == {2: "error", 1: "active*"}
    async with refused("VERSION_STATE_CONFLICT", grpc.StatusCode.FAILED_PRECONDITION):
        await me.roll_back(made.id, 2)
    assert (await me.set_image(made.id, "alpine:3.21")).number == 3
    await world.work(B)
    assert await me.states("base") == {3: "active*", 2: "error", 1: "inactive"}


async def test_the_newer_one_takes_the_place_of_what_is_under_way(world: World, me: Member) -> None:
    made = await me.active("base")
    await me.set_image(made.id, "alpine:3.21")
    claim = await world.claim()
    assert claim is not None
    await me.set_image(made.id, "alpine:3.22")
    assert await me.states("base") == {3: "pending", 2: "superseded", 1: "active*"}
    assert not await world.finish(claim, B)
    await world.work(C)
    assert (await me.get("base")).ref.endswith(C)
    assert await me.states("base") == {3: "active*", 2: "superseded", 1: "inactive"}


async def test_the_same_image_again_is_waited_for_once(world: World, me: Member) -> None:
    made, other = await me.active("base"), await me.active("other")
    for snapshot in (made, made, other):
        await me.set_image(snapshot.id, "alpine:3.21")
    third = await me.create("third", image="alpine:3.21")
    claim = await world.claim()
    assert claim is not None
    assert await world.claim() is None
    assert await world.finish(claim, B)
    for ref in ("base", "other", third.id):
        assert (await me.get(ref)).ref.endswith(B)
    assert await me.states("base") == {3: "active*", 2: "superseded", 1: "inactive"}


async def test_what_is_pinned_and_there_is_taken_at_once(world: World, me: Member) -> None:
    made = await me.active("base")
    other = await me.create("other", image="alpine:3.21")
    await world.work(B)
    version = await me.set_image(made.id, f"docker.io/library/alpine@{B}")
    assert (version.number, version.current) == (2, True)
    now = await me.get("base")
    assert (now.ref, now.version) == ((await me.get(other.id)).ref, 2)
    assert await world.claim() is None
    assert await _numbers(me) == [("created", 2), ("activated", 2)]
    stranger = world.member()
    theirs = await stranger.active("base")
    assert not (await stranger.set_image(theirs.id, f"docker.io/library/alpine@{B}")).current
    await world.work(B)


async def test_going_back_is_immediate_while_the_bytes_are_there(world: World, me: Member) -> None:
    made = await me.active("base")
    await me.set_image(made.id, "alpine:3.21")
    await world.work(B)
    version = await me.roll_back(made.id, 1)
    assert (version.number, version.current) == (1, True)
    back = await me.get("base")
    assert (back.ref, back.image_ref, back.version) == (made.ref, made.image_ref, 1)
    assert await me.states("base") == {2: "inactive", 1: "active*"}
    assert await _numbers(me) == [("created", 2), ("activated", 2), ("activated", 1)]
    assert [said["rolled_back"] for _, said, _ in await me.told("snapshot_version_activated")] == [
        False,
        True,
    ]
    # The next one has a number of its own all the same.
    assert (await me.set_image(made.id, "alpine:3.22")).number == 3
    # To the current one: only what is under way ends.
    assert (await me.roll_back(made.id, 1)).current
    assert await me.states("base") == {3: "superseded", 2: "inactive", 1: "active*"}
    assert await world.claim() is None


async def test_old_versions_let_go_and_come_back_by_digest(world: World, me: Member) -> None:
    made = await me.active("base")
    for n, digest in ((21, B), (22, C)):
        await me.set_image(made.id, f"alpine:3.{n}")
        await world.work(digest)
    await world.trim(kept=2)
    stored = {v.number: v.stored for v in await me.versions("base")}
    assert stored == {3: True, 2: True, 1: False}
    digests = "SELECT manifest_digest FROM artifacts WHERE organization_id = $1 ORDER BY 1"
    left = await world.database.pool.fetch(digests, UUID(me.organization))
    assert [row[0] for row in left] == [B, C]
    again = await me.roll_back(made.id, 1)
    assert (again.number, again.current) == (1, False)
    assert await me.states("base") == {3: "active*", 2: "inactive", 1: "pending"}
    claim = await world.claim()
    assert claim is not None
    assert (claim.image_ref, claim.digest) == ("alpine:3.20", A)
    assert (await me.get("base")).version == 3
    assert await world.finish(claim, A)
    assert (await me.get("base")).ref == made.ref
    assert await me.states("base") == {3: "inactive", 2: "inactive", 1: "active*"}
    created = [("created", 2), ("activated", 2), ("created", 3), ("activated", 3)]
    assert await _numbers(me) == [*created, ("audited", None), ("activated", 1)]


async def test_what_cannot_be_fetched_again_can_be_tried_again(world: World, me: Member) -> None:
    made = await me.active("base")
    await me.set_image(made.id, "alpine:3.21")
    await world.work(B)
    await world.trim(kept=1)
    for _ in range(2):
        await me.roll_back(made.id, 1)
        claim = await world.claim()
        assert claim is not None
        await world.fail(claim, "REGISTRY_UNREACHABLE")
        assert await me.states("base") == {2: "active*", 1: "error"}
    # Something else instead leaves it where it was.
    await me.roll_back(made.id, 1)
    await me.set_image(made.id, "alpine:3.22")
    assert await me.states("base") == {3: "pending", 2: "active*", 1: "inactive"}
    assert not (await me.versions("base"))[2].HasField("failure")
    await world.work(C)


async def test_artifacts_are_shared_and_go_with_the_last_who_refers_to_them(
    world: World, me: Member
) -> None:
    made, other = await me.active("base"), await me.active("other")
    await me.set_image(made.id, "alpine:3.21")
    await world.work(B)
    await world.trim(kept=1)
    assert (await me.get(other.id)).ref == made.ref
    assert [v.stored for v in await me.versions("base")] == [True, True]
    count = "SELECT count(*) FROM artifacts WHERE organization_id = $1"
    for snapshot, left in ((other, 1), (made, 0)):
        await me.delete(snapshot.id)
        await world.erase_all()
        await world.trim()
        assert await world.database.pool.fetchval(count, UUID(me.organization)) == left


async def test_deleting_takes_the_versions_along(world: World, me: Member) -> None:
    made = await me.active("base")
    await me.set_image(made.id, "alpine:3.21")
    await world.work(B)
    await me.set_image(made.id, "alpine:3.22")
    claim = await world.claim()
    assert claim is not None
    await me.delete(made.id)
    assert not await world.finish(claim, C)
    await world.erase_all()
    await world.trim()
    for table in ("artifacts", "pulls"):
        counted = f"SELECT count(*) FROM {table} WHERE organization_id = $1"
        assert await world.database.pool.fetchval(counted, UUID(me.organization)) == 0, table
    left = "SELECT count(*) FROM versions WHERE snapshot_id = $1"
    assert await world.database.pool.fetchval(left, UUID(made.id)) == 0


async def test_deactivating_cancels_what_is_under_way(world: World, me: Member) -> None:
    made = await me.active("base")
    await me.set_image(made.id, "alpine:3.21")
    claim = await world.claim()
    assert claim is not None
    await me.deactivate(made.id)
    assert await me.states("base") == {2: "cancelled", 1: "inactive*"}
    assert not await world.finish(claim, B)
    for change in (me.set_image(made.id, "alpine:3.22"), me.roll_back(made.id, 1)):
        async with refused("SNAPSHOT_STATE_CONFLICT", grpc.StatusCode.FAILED_PRECONDITION):
            await change
    assert (await me.activate(made.id)).ref == made.ref
    assert await me.states("base") == {2: "cancelled", 1: "active*"}


async def test_what_waits_for_the_same_image_goes_on_without_the_version(
    world: World, me: Member
) -> None:
    made, other = await me.active("base"), await me.create("other", image="alpine:3.21")
    await me.set_image(made.id, "alpine:3.21")
    await me.deactivate(made.id)
    await world.work(B)
    assert (await me.get(other.id)).state == SNAPSHOT_STATE_ACTIVE
    assert (await me.get(made.id)).ref == made.ref


async def _lose(world: World, me: Member, digest: str) -> None:
    async with world.database.sessions.begin() as session:
        await losses.lose(session, UUID(me.organization), digest)


async def test_a_snapshot_that_was_lost_takes_the_next_version(world: World, me: Member) -> None:
    made = await me.active("base")
    await me.set_image(made.id, "alpine:3.21")
    await _lose(world, me, A)
    assert (await me.get("base")).state == SNAPSHOT_STATE_INACTIVE
    await world.work(B)
    now = await me.get("base")
    assert (now.version, now.state, now.ref.endswith(B)) == (2, SNAPSHOT_STATE_INACTIVE, True)
    assert (await me.activate(made.id)).state == SNAPSHOT_STATE_ACTIVE
    assert [v.stored for v in await me.versions("base")] == [True, False]


async def test_a_snapshot_that_fetches_itself_again_keeps_the_next_version_for_later(
    world: World, me: Member
) -> None:
    made = await me.active("base")
    await me.set_image(made.id, "alpine:3.21")
    await _lose(world, me, A)
    assert (await me.activate(made.id)).state == SNAPSHOT_STATE_PENDING
    for _ in range(2):
        claim = await world.claim()
        assert claim is not None
        assert await world.finish(claim, B if claim.image_ref == "alpine:3.21" else A)
    now = await me.get("base")
    assert (now.ref, now.state, now.version) == (made.ref, SNAPSHOT_STATE_ACTIVE, 1)
    assert await me.states("base") == {2: "inactive", 1: "active*"}
    assert (await me.roll_back(made.id, 2)).current
    assert (await me.get("base")).ref.endswith(B)


@pytest.mark.parametrize(
    ("asked", "own", "then"),
    [((), ["/old"], ["/new"]), (("/mine",), ["/mine"], ["/mine"])],
)
async def test_the_entrypoint_is_the_images_unless_another_was_asked_for(
    world: World, me: Member, asked: tuple[str, ...], own: list[str], then: list[str]
) -> None:
    made = await me.create("base", entrypoint=asked)
    claim = await world.claim()
    assert claim is not None
    await world.finish(claim, A, entrypoint=["/old"])
    assert list((await me.get("base")).entrypoint) == own
    await me.set_image(made.id, "alpine:3.21")
    claim = await world.claim()
    assert claim is not None
    await world.finish(claim, B, entrypoint=["/new"])
    assert list((await me.get("base")).entrypoint) == then
    await me.roll_back(made.id, 1)
    assert list((await me.get("base")).entrypoint) == own


async def test_who_may_not_is_refused(world: World, me: Member) -> None:
    made, stranger = await me.active("base"), world.member()
    await me.share(made.id, stranger)
    for ref in (made.id, "base", str(uuid4()), "a\0b"):
        for change in (
            stranger.set_image(ref, "alpine:3.21"),
            stranger.roll_back(ref, 1),
            stranger.versions(ref),
        ):
            async with refused("SNAPSHOT_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
                await change
    for change in (me.set_image("base", "alpine:3.21"), me.roll_back("base", 1)):
        async with refused("SNAPSHOT_ID_REQUIRED", grpc.StatusCode.INVALID_ARGUMENT):
            await change
    general = "UPDATE snapshots SET general = $2 WHERE id = $1"
    await world.database.pool.execute(general, UUID(made.id), True)
    for change in (me.set_image(made.id, "alpine:3.21"), me.roll_back(made.id, 1)):
        async with refused("SNAPSHOT_GENERAL", grpc.StatusCode.PERMISSION_DENIED):
            await change
    await world.database.pool.execute(general, UUID(made.id), False)
    for number in (2, 0, -1, 2**31 - 1):
        async with refused("VERSION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            await me.roll_back(made.id, number)


async def test_what_is_no_image_is_refused(me: Member) -> None:
    made = await me.active("base")
    for image, reason in (
        ("", "IMAGE_OR_BUILD_REQUIRED"),
        ("alpine", "IMAGE_REF_UNPINNED"),
        ("alpine:latest", "IMAGE_REF_UNPINNED"),
        ("a b", "IMAGE_REF_INVALID"),
    ):
        async with refused(reason, grpc.StatusCode.INVALID_ARGUMENT):
            await me.set_image(made.id, image)
    async with refused("IMAGE_AND_BUILD"):
        await me.set_image(made.id, "alpine:3.21", build=pb.Build(dockerfile="FROM a"))
    async with refused("BUILDER_UNAVAILABLE", grpc.StatusCode.FAILED_PRECONDITION):
        await me.set_image(made.id, "", build=pb.Build(dockerfile="FROM a"))
    assert await me.states("base") == {1: "active*"}


async def test_a_suspended_organization_gets_no_other_version(world: World, me: Member) -> None:
    made = await me.active("base")
    world.orgs.answers[me.organization] = suspended(5)
    await apply(world, me.organization)
    for change in (me.set_image(made.id, "alpine:3.21"), me.roll_back(made.id, 1)):
        async with refused("ORGANIZATION_SUSPENDED", grpc.StatusCode.PERMISSION_DENIED):
            await change


async def test_the_same_request_again_makes_no_further_version(me: Member) -> None:
    made = await me.active("base")
    first = await me.set_image(made.id, "alpine:3.21", request_id="k")
    assert await me.set_image(made.id, "alpine:3.21", request_id="k") == first
    async with refused("IDEMPOTENCY_KEY_REUSED", grpc.StatusCode.ALREADY_EXISTS):
        await me.set_image(made.id, "alpine:3.22", request_id="k")
    assert await me.states("base") == {2: "pending", 1: "active*"}


async def test_very_old_versions_are_forgotten(world: World, me: Member) -> None:
    made = await me.active("base")
    await world.database.pool.execute(
        "INSERT INTO versions (snapshot_id, number, image_ref, state)"
        " SELECT $1, n, 'a:1', 'superseded' FROM generate_series(2, $2::int) AS n",
        UUID(made.id),
        VERSIONS_REMEMBERED + 10,
    )
    await world.database.pool.execute(
        "UPDATE snapshots SET last_version = $2 WHERE id = $1",
        UUID(made.id),
        VERSIONS_REMEMBERED + 10,
    )
    await me.set_image(made.id, "alpine:3.21")
    await world.work(B)
    await world.trim()
    numbers = [v.number for v in await me.versions("base")]
    last = VERSIONS_REMEMBERED + 11
    assert numbers == list(range(last, last - VERSIONS_REMEMBERED - 1, -1))


async def _check(world: World, me: Member) -> None:
    """Assert what must be so at every moment at which nothing is under way."""
    organization, fetch = UUID(me.organization), world.database.pool.fetch
    snapshots = await fetch(
        "SELECT s.*, a.stored, a.manifest_digest FROM snapshots AS s LEFT JOIN artifacts AS a ON a.id = s.artifact_id"
        " WHERE s.organization_id = $1",
        organization,
    )
    versions = await fetch(
        "SELECT v.*, s.version, s.last_version, s.state AS of FROM versions AS v"
        " JOIN snapshots AS s ON s.id = v.snapshot_id WHERE s.organization_id = $1",
        organization,
    )
    for row in snapshots:
        if row["state"] == "active":
            assert row["stored"], row
            assert row["ref"].endswith("@" + row["manifest_digest"]), row
        waiting = [v for v in versions if v["snapshot_id"] == row["id"] and v["pull_id"]]
        assert len(waiting) <= (row["state"] == "active"), (row, waiting)
    for version in versions:
        assert version["number"] != version["version"], version
        assert version["number"] <= version["last_version"], version
        assert (version["pull_id"] is not None) == (version["state"] == "pending"), version
        assert version["artifact_id"] is None or version["ref"], version
    unwanted = await fetch(
        "SELECT FROM pulls AS p WHERE organization_id = $1"
        " AND NOT EXISTS (SELECT FROM snapshots AS s WHERE s.pull_id = p.id)"
        " AND NOT EXISTS (SELECT FROM versions AS v WHERE v.pull_id = p.id)",
        organization,
    )
    assert unwanted == []
    used = sum(row["state"] in {s.value for s in CONSUMING} for row in snapshots)
    assert await me.usage() == (used, len(snapshots))


async def _check_artifacts(world: World, me: Member) -> None:
    """Assert that every artifact has somebody who refers to it."""
    loose = await world.database.pool.fetch(
        "SELECT manifest_digest FROM artifacts AS a WHERE organization_id = $1"
        " AND NOT EXISTS (SELECT FROM snapshots AS s WHERE s.artifact_id = a.id)"
        " AND NOT EXISTS (SELECT FROM versions AS v WHERE v.artifact_id = a.id)",
        UUID(me.organization),
    )
    assert loose == []


IMAGES = {"alpine:3.20": A, "alpine:3.21": B, "alpine:3.22": C}
FORESEEN = {
    *("SNAPSHOT_NOT_FOUND", "SNAPSHOT_STATE_CONFLICT", "VERSION_NOT_FOUND"),
    *("VERSION_STATE_CONFLICT", "SNAPSHOT_BUSY", ""),
}


async def _reason(act: Awaitable[object]) -> str:
    """Return why it was refused; empty: it was not."""
    try:
        await act
    except grpc.aio.AioRpcError as said:
        return error_info(said).reason or str(said.details())
    return ""


async def _some_work(world: World, dice: random.Random) -> None:
    claim = await world.claim()
    if claim is None:
        return
    digest = claim.digest or IMAGES[claim.image_ref]
    if dice.random() < 0.25:
        await world.fail(claim)
    else:
        await world.finish(claim, digest)


def _acts(
    world: World, me: Member, ids: list[str], dice: random.Random, *, mild: bool
) -> list[Callable[[], Awaitable[object]]]:
    """Return what may happen to some snapshots; mild: none of it takes one out of use."""
    id_, image, number = dice.choice(ids), dice.choice(list(IMAGES)), dice.randint(1, 4)
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: me.set_image(id_, image),
        lambda: me.set_image(id_, f"docker.io/library/alpine@{IMAGES[image]}"),
        lambda: me.roll_back(id_, number),
        lambda: _some_work(world, dice),
        lambda: _some_work(world, dice),
        lambda: world.trim(kept=dice.randint(1, 2)),
    ]
    if not mild:
        acts += [
            lambda: me.deactivate(id_),
            lambda: me.activate(id_),
            lambda: me.delete(id_),
            world.erase_all,
        ]
    return acts


IMAGES |= {f"docker.io/library/alpine@{digest}": digest for digest in (A, B, C)}


@pytest.mark.parametrize("mild", [False, True], ids=["everything", "never a gap"])
async def test_whatever_happens_at_once_ends_well(world: World, mild: bool) -> None:
    for _ in range(rounds(12, 500)):
        seed = random.randrange(2**32)
        dice, me = random.Random(seed), world.member()
        ids = [(await me.create(f"n{n}")).id for n in range(2)]
        await world.work(A)
        watched, done = 0, asyncio.Event()

        async def watch(me: Member = me, done: asyncio.Event = done, seed: int = seed) -> int:
            seen = 0
            while not done.is_set():
                shown = await me.get("n0")
                assert shown.state == SNAPSHOT_STATE_ACTIVE, (seed, shown)
                assert shown.ref, (seed, shown)
                seen += 1
            return seen

        watching = asyncio.create_task(watch()) if mild else None
        for _ in range(3):
            chosen = [dice.choice(_acts(world, me, ids, dice, mild=mild)) for _ in range(6)]
            ends = set(await asyncio.gather(*(_reason(act()) for act in chosen)))
            assert ends <= FORESEEN, (seed, ends)
            await _check(world, me)
        done.set()
        if watching is not None:
            watched = await watching
            assert watched
        while (claim := await world.claim()) is not None:
            await world.finish(claim, claim.digest or IMAGES[claim.image_ref])
        await world.erase_all()
        await world.trim()
        await _check(world, me)
        await _check_artifacts(world, me)
        left = "SELECT count(*) FROM pulls WHERE organization_id = $1"
        assert await world.database.pool.fetchval(left, UUID(me.organization)) == 0, seed
