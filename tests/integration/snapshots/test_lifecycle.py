"""Get, delete, activate, deactivate, logs; and what work and events make of them."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import grpc
import pytest

from ratoon.events.v1 import event_pb2
from ratoon.orgs.v1 import organization_pb2
from ratoon.snapshots.v1.snapshot_pb2 import (
    SNAPSHOT_STATE_ACTIVE,
    SNAPSHOT_STATE_ERROR,
    SNAPSHOT_STATE_INACTIVE,
    SNAPSHOT_STATE_PENDING,
    SNAPSHOT_STATE_REMOVING,
)
from services.snapshots.commands import blobs, pulls
from services.snapshots.commands.pulls import BlobsMissing
from services.snapshots.domain import Blob, NewArtifact, StoreFull
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import DIGEST, LEASE, Member, World, refused

NOT_FOUND = grpc.StatusCode.NOT_FOUND


@pytest.fixture(autouse=True)
async def no_work_left_over(world: World) -> None:
    await world.work()
    await world.erase_all()


async def test_an_image_becomes_an_active_snapshot(world: World, me: Member) -> None:
    made = await me.create()
    claim = await world.claim()
    assert claim is not None
    assert (claim.image_ref, claim.digest, claim.attempt) == ("alpine:3.20", "", 1)
    async with world.database.sessions.begin() as session:
        assert await pulls.progress(
            session, claim, phase="downloading", done=5, total=9, lease=LEASE
        )
    progress = (await me.get("base")).progress
    assert (progress.phase, progress.bytes_done, progress.bytes_total, progress.attempt) == (
        "downloading", 5, 9, 1,
    )  # fmt: skip
    assert (await me.page()).snapshots[0].progress == progress
    assert await world.finish(claim, entrypoint=["/bin/sh"])
    got = await me.get(made.id)
    assert (got.state, got.size_bytes, got.ref) == (
        SNAPSHOT_STATE_ACTIVE, 123, f"docker.io/library/alpine@{DIGEST}",
    )  # fmt: skip
    assert list(got.entrypoint) == ["/bin/sh"]
    assert got.HasField("last_use_time")
    assert not got.HasField("progress")
    assert await me.events() == [
        ("snapshot_created", "pending"),
        ("snapshot_state_changed", "pulling"),
        ("snapshot_state_changed", "active"),
    ]


async def test_a_failed_pull_gives_its_places_back_and_says_why(world: World, me: Member) -> None:
    await me.create("a")
    await me.create("b")
    claim = await world.claim()
    assert claim is not None
    assert await world.fail(claim)
    got = await me.get("a")
    assert got.state == SNAPSHOT_STATE_ERROR
    assert (got.failure.code, got.failure.reason, got.failure.remedy) == (
        "IMAGE_NOT_FOUND", "cause", "remedy",
    )  # fmt: skip
    assert await me.usage() == (0, 2)
    async with refused("SNAPSHOT_STATE_CONFLICT"):
        await me.activate(got.id)
    async with refused("SNAPSHOT_STATE_CONFLICT", grpc.StatusCode.FAILED_PRECONDITION):
        await me.deactivate(got.id)
    await me.delete(got.id)


async def test_a_worker_that_lost_its_lease_cannot_write(world: World, me: Member) -> None:
    await me.create()
    late = await world.claim("late")
    assert late is not None
    async with world.database.sessions.begin() as session:
        gone = timedelta(seconds=-1)
        assert await pulls.progress(session, late, phase="x", done=0, total=0, lease=gone)
    heir = await world.claim("heir")
    assert heir is not None
    assert heir.attempt == 2
    assert heir.deadline_at == late.deadline_at
    assert not await world.finish(late)
    assert not await world.fail(late)
    async with world.database.sessions.begin() as session:
        assert not await pulls.progress(session, late, phase="x", done=0, total=0, lease=LEASE)
        assert not await pulls.retry_later(session, late, LEASE)
        assert await blobs.pin(session, late, [Blob(DIGEST, 1)], capacity=10) is None
        assert not await blobs.place(session, late, Blob(DIGEST, 1))
    assert (await me.get("base")).progress.attempt == 2
    assert await world.finish(heir)


async def test_a_retry_waits_and_ends_at_the_deadline(world: World, me: Member) -> None:
    await me.create()
    claim = await world.claim()
    assert claim is not None
    async with world.database.sessions.begin() as session:
        assert not await pulls.retry_later(session, claim, timedelta(hours=2))
        assert await pulls.retry_later(session, claim, timedelta(minutes=1))
    assert await world.claim() is None
    assert (await me.get("base")).progress.phase == "waiting"
    await me.delete((await me.get("base")).id)


async def test_no_organization_takes_all_workers(world: World, me: Member) -> None:
    for i in range(3):
        await me.create(f"n{i}", f"alpine:{i}")
    other = world.member()
    await other.create()
    taken = []
    for _ in range(3):
        async with world.database.sessions.begin() as session:
            claim = await pulls.claim_pull(session, "w", lease=LEASE, patience=LEASE, share=1)
            taken.append(claim and str(claim.organization_id))
    assert taken == [me.organization, other.organization, None]


async def test_what_was_not_fetched_is_not_granted(world: World, me: Member) -> None:
    await me.active()
    thief = world.member()
    await thief.create()
    claim = await world.claim()
    assert claim is not None
    stolen = (Blob(DIGEST, 100),)
    made = NewArtifact("evil", DIGEST, 1, None, {}, stolen)
    async with world.database.sessions.begin() as session:
        assert await blobs.pin(session, claim, stolen, capacity=10**9) == [DIGEST]
    with pytest.raises(BlobsMissing):
        async with world.database.sessions.begin() as session:
            await pulls.finish_pull(session, claim, made)
    assert (await thief.get("base")).state != SNAPSHOT_STATE_ACTIVE
    await me.create("again", "alpine:other")
    mine = next(c for c in [await world.claim()] if c is not None)
    async with world.database.sessions.begin() as session:
        assert await blobs.pin(session, mine, stolen, capacity=10**9) == []


async def test_a_full_store_takes_nothing(world: World, me: Member) -> None:
    await me.create()
    claim = await world.claim()
    assert claim is not None
    big = Blob("sha256:" + "e" * 64, 10**9)
    with pytest.raises(StoreFull):
        async with world.database.sessions.begin() as session:
            await blobs.pin(session, claim, [big], capacity=10**9 - 1)
    assert await world.database.pool.fetchval(
        "SELECT count(*) FROM blobs WHERE digest = $1", big.digest
    ) == 0  # fmt: skip


async def test_deactivated_while_pulling_stays_inactive(world: World, me: Member) -> None:
    made = await me.create()
    claim = await world.claim()
    assert claim is not None
    await me.deactivate(made.id)
    await me.deactivate(made.id)
    assert not await world.finish(claim)
    assert (await me.get(made.id)).state == SNAPSHOT_STATE_INACTIVE
    assert await me.usage() == (0, 1)
    again = await me.activate(made.id)
    assert again.state == SNAPSHOT_STATE_PENDING
    await world.work()
    assert (await me.get(made.id)).state == SNAPSHOT_STATE_ACTIVE


async def test_work_ends_when_the_last_who_wants_it_leaves(world: World, me: Member) -> None:
    first, second = await me.create("a"), await me.create("b")
    claim = await world.claim()
    assert claim is not None
    await me.deactivate(first.id)
    async with world.database.sessions.begin() as session:
        assert await pulls.progress(session, claim, phase="x", done=0, total=0, lease=LEASE)
    await me.delete(second.id)
    async with world.database.sessions.begin() as session:
        assert not await pulls.progress(session, claim, phase="x", done=0, total=0, lease=LEASE)


async def test_activation_brings_the_same_artifact_back(world: World, me: Member) -> None:
    made = await me.active()
    await me.deactivate(made.id)
    assert await me.usage() == (0, 1)
    back = await me.activate(made.id)
    assert (back.state, back.ref, back.size_bytes) == (SNAPSHOT_STATE_ACTIVE, made.ref, 123)
    assert await me.usage() == (1, 1)
    async with refused("SNAPSHOT_STATE_CONFLICT", grpc.StatusCode.FAILED_PRECONDITION):
        await me.activate(made.id)


async def test_activation_of_what_the_store_lost_fetches_by_digest(
    world: World, me: Member
) -> None:
    made = await me.active()
    await me.deactivate(made.id)
    await world.database.pool.execute("UPDATE artifacts SET stored = false")
    assert (await me.activate(made.id)).state == SNAPSHOT_STATE_PENDING
    claim = await world.claim()
    assert claim is not None
    assert (claim.image_ref, claim.digest) == ("alpine:3.20", DIGEST)
    assert await world.finish(claim)
    assert (await me.get(made.id)).ref == made.ref


async def test_activation_is_refused_like_a_create(world: World, me: Member) -> None:
    made = await me.active("a", cpu=4)
    await me.deactivate(made.id)

    async def say(answer: object) -> None:
        world.orgs.answers[me.organization] = answer  # type: ignore[assignment]  # what limits() returns
        changed = event_pb2.OrganizationChanged(organization_id=me.organization)
        asked = len(world.orgs.asked)
        await world.orgs.say(
            event_pb2.Event(organization_id=me.organization, organization_changed=changed)
        )
        while len(world.orgs.asked) == asked:
            async with refused_any():
                await me.create("a")

    full = limits(quota=0)
    await say(full)
    async with refused("SNAPSHOT_QUOTA_EXCEEDED", grpc.StatusCode.FAILED_PRECONDITION):
        await me.activate(made.id)
    assert (await me.get(made.id)).state == SNAPSHOT_STATE_INACTIVE
    suspended = limits()
    suspended.suspension.CopyFrom(organization_pb2.Suspension())
    await say(suspended)
    async with refused("ORGANIZATION_SUSPENDED", grpc.StatusCode.PERMISSION_DENIED):
        await me.activate(made.id)
    smaller = limits()
    smaller.limits.max_cpu_per_sandbox = 1
    await say(smaller)
    async with refused("RESOURCES_EXCEED_LIMIT", grpc.StatusCode.INVALID_ARGUMENT):
        await me.activate(made.id)
    moved = limits()
    moved.regions[0].region_id = "elsewhere"
    await say(moved)
    async with refused("REGION_NOT_FOUND", NOT_FOUND):
        await me.activate(made.id)


class refused_any:
    """Whatever it is refused with."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, kind: object, failure: object, trace: object) -> bool:
        return isinstance(failure, grpc.aio.AioRpcError)


async def test_delete_takes_two_steps_and_frees_name_place_and_bytes(
    world: World, me: Member
) -> None:
    made, twin = await me.active("a"), await me.active("b")
    await me.delete(made.id)
    await me.delete(made.id)
    assert (await me.get("a")).state == SNAPSHOT_STATE_REMOVING
    assert await me.usage() == (1, 2)
    async with refused("SNAPSHOT_STATE_CONFLICT"):
        await me.deactivate(made.id)
    assert await world.erase() == 1
    async with refused("SNAPSHOT_NOT_FOUND", NOT_FOUND):
        await me.delete(made.id)
    await me.create("a", "other:1")
    assert (await me.get("b")).state == SNAPSHOT_STATE_ACTIVE
    assert await _collect(world) == []
    await me.delete(twin.id)
    assert await world.erase() == 1
    assert await me.usage() == (1, 1)
    mine = [e for e in await me.events() if e[1] == "removing" or e[0] == "snapshot_removed"]
    assert mine == [("snapshot_state_changed", "removing"), ("snapshot_removed", "")] * 2


async def _collect(world: World) -> list[str]:
    async with world.database.sessions.begin() as session:
        gone, more = await blobs.collect(session)
    assert not more
    return gone


async def test_bytes_go_with_the_last_who_needs_them(world: World, me: Member) -> None:
    digest = "sha256:" + "d" * 64
    other = world.member()
    for owner in (me, other):
        await owner.create()
        await world.work(digest)
    await _collect(world)
    for owner, gone in ((me, []), (other, [digest[:-1] + "0", digest])):
        await owner.delete((await owner.get("base")).id)
        await world.erase()
        assert await _collect(world) == gone


async def test_names_are_for_reading_only(me: Member) -> None:
    await me.create("a")
    for change in (me.delete, me.activate, me.deactivate):
        async with refused("SNAPSHOT_ID_REQUIRED", grpc.StatusCode.INVALID_ARGUMENT):
            await change("a")
        for unknown in ("b", str(uuid4()), "", "x\0", "n" * 5000, str(uuid4()).replace("-", "")):
            async with refused("SNAPSHOT_NOT_FOUND", NOT_FOUND):
                await change(unknown)


async def test_somebody_elses_snapshot_does_not_exist(world: World, me: Member) -> None:
    made = await world.member().create()
    for act in (me.get, me.delete, me.activate, me.deactivate, me.logs):
        async with refused("SNAPSHOT_NOT_FOUND", NOT_FOUND):
            await act(made.id)


async def test_a_name_that_looks_like_an_id_comes_before_that_id(me: Member) -> None:
    named = await me.create("a")
    shadow = await me.create(named.id)
    assert (await me.get(named.id)).id == shadow.id
    await me.deactivate(named.id)
    assert (await me.get("a")).state == SNAPSHOT_STATE_INACTIVE
    assert (await me.get(shadow.id)).state == SNAPSHOT_STATE_PENDING


async def test_what_was_not_built_has_no_log(me: Member) -> None:
    made = await me.create()
    for ref in (made.id, made.name):
        async with refused("BUILD_NOT_FOUND", NOT_FOUND):
            await me.logs(ref)


async def test_an_organization_that_was_deleted_leaves_nothing(world: World, me: Member) -> None:
    made = [await me.create(f"n{i}", f"alpine:{i % 3}") for i in range(5)]
    await world.work()
    await me.create("late")
    general = made[0].id
    await world.database.pool.execute("UPDATE snapshots SET general = true WHERE id = $1", general)
    await world.database.pool.execute("UPDATE usage SET total = total - 1 WHERE total = 6")
    deleted = event_pb2.OrganizationDeleted(organization_id=me.organization)
    await world.orgs.say(
        event_pb2.Event(organization_id=me.organization, organization_deleted=deleted)
    )
    while (await me.usage())[0]:
        await asyncio.sleep(0)
    await world.erase_all()
    assert await me.usage() == (0, 0)
    async with refused("SNAPSHOT_NOT_FOUND"):
        await me.get(general)
    async with refused("ORGANIZATION_FORBIDDEN", grpc.StatusCode.PERMISSION_DENIED):
        await me.create()


async def test_changes_at_the_same_time_leave_one_truth(world: World, me: Member) -> None:
    for i in range(20):
        made = await me.create(f"n{i}", f"alpine:{i}")
        claim = await world.claim()
        assert claim is not None
        await asyncio.gather(
            me.deactivate(made.id), me.delete(made.id), world.finish(claim), return_exceptions=True
        )
        assert (await me.get(made.id)).state == SNAPSHOT_STATE_REMOVING
    assert await me.usage() == (0, 20)
