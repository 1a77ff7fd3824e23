"""What failed is tried again."""

import asyncio
from uuid import UUID

import grpc
import pytest

from ratoon.orgs.v1 import organization_pb2
from ratoon.snapshots.v1 import snapshot_pb2
from ratoon.snapshots.v1.snapshot_pb2 import (
    SNAPSHOT_STATE_ACTIVE,
    SNAPSHOT_STATE_ERROR,
    SNAPSHOT_STATE_INACTIVE,
    SNAPSHOT_STATE_PENDING,
)
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import DIGEST, Member, World, refused

CONFLICT = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture(autouse=True)
async def no_work_left_over(world: World) -> None:
    await world.work()
    await world.erase_all()


async def failed(
    world: World, me: Member, name: str = "base", **more: str
) -> snapshot_pb2.Snapshot:
    await me.create(name, **more)
    claim = await world.claim()
    assert claim is not None
    await world.fail(claim)
    found = await me.get(name)
    assert found.state == SNAPSHOT_STATE_ERROR
    return found


async def test_what_failed_is_tried_again_and_forgets_why(world: World, me: Member) -> None:
    made = await failed(world, me)
    assert await me.usage() == (0, 1)
    again = await me.retry(made.id)
    assert again.state == SNAPSHOT_STATE_PENDING
    assert not again.HasField("failure")
    assert await me.usage() == (1, 1)
    claim = await world.claim()
    assert claim is not None
    assert (claim.image_ref, claim.digest, claim.attempt) == ("alpine:3.20", "", 1)
    assert await world.finish(claim)
    assert (await me.get(made.id)).state == SNAPSHOT_STATE_ACTIVE
    assert (await me.events())[-3:] == [
        ("snapshot_state_changed", "pending"),
        ("snapshot_state_changed", "pulling"),
        ("snapshot_state_changed", "active"),
    ]


async def test_a_failed_build_is_tried_again_like_everything(world: World, me: Member) -> None:
    made = await failed(world, me)
    await world.database.pool.execute(
        "UPDATE snapshots SET state = 'build_failed' WHERE id = $1", UUID(made.id)
    )
    assert (await me.retry(made.id)).state == SNAPSHOT_STATE_PENDING


async def test_what_the_organization_has_by_now_is_active_at_once(world: World, me: Member) -> None:
    made = await failed(world, me, image=f"alpine@{DIGEST}")
    await me.active("other")
    again = await me.retry(made.id)
    assert (again.state, again.size_bytes) == (SNAPSHOT_STATE_ACTIVE, 123)
    assert again.ref == f"docker.io/library/alpine@{DIGEST}"
    assert await me.usage() == (2, 2)


async def test_two_who_failed_together_wait_together(world: World, me: Member) -> None:
    first, second = await me.create("a"), await me.create("b")
    claim = await world.claim()
    assert claim is not None
    await world.fail(claim)
    await asyncio.gather(me.retry(first.id), me.retry(second.id))
    claim = await world.claim()
    assert claim is not None
    assert await world.claim() is None
    assert await world.finish(claim)
    assert (await me.get("b")).state == SNAPSHOT_STATE_ACTIVE


async def test_only_what_failed_is_tried_again(world: World, me: Member) -> None:
    made = await me.active()
    async with refused("SNAPSHOT_STATE_CONFLICT", CONFLICT):
        await me.retry(made.id)
    await me.deactivate(made.id)
    async with refused("SNAPSHOT_STATE_CONFLICT", CONFLICT):
        await me.retry(made.id)
    assert (await me.get(made.id)).state == SNAPSHOT_STATE_INACTIVE
    async with refused("SNAPSHOT_ID_REQUIRED", grpc.StatusCode.INVALID_ARGUMENT):
        await me.retry("base")
    for other in (made.id, "base"):
        async with refused("SNAPSHOT_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            await world.member().retry(other)
    nothing = await failed(world, me, "nothing")
    await world.database.pool.execute(
        "UPDATE snapshots SET image_ref = '' WHERE id = $1", UUID(nothing.id)
    )
    async with refused("SNAPSHOT_STATE_CONFLICT", CONFLICT):
        await me.retry(nothing.id)


async def test_a_retry_is_refused_like_a_create(world: World) -> None:
    suspended, smaller = limits(), limits()
    suspended.suspension.CopyFrom(organization_pb2.Suspension())
    smaller.limits.max_cpu_per_sandbox = 1
    moved = limits()
    moved.regions[0].region_id = "elsewhere"
    for answer, reason in (
        (limits(quota=1), "SNAPSHOT_QUOTA_EXCEEDED"),
        (suspended, "ORGANIZATION_SUSPENDED"),
        (smaller, "RESOURCES_EXCEED_LIMIT"),
        (moved, "REGION_NOT_FOUND"),
    ):
        me = world.member()
        await me.create("a", "x:1", cpu=4)
        await me.create("b", "y:1", cpu=4)
        claim = await world.claim()
        assert claim is not None
        await world.fail(claim)
        await world.work()
        lost = next(s for s in (await me.page()).snapshots if s.state == SNAPSHOT_STATE_ERROR)
        answer.revision = 2
        world.orgs.answers[me.organization] = answer
        await world.database.pool.execute(
            "UPDATE usage SET limits_revision = 2 WHERE organization_id = $1", UUID(me.organization)
        )
        # Remembered limits of an older revision are asked for anew where they would let in.
        async with refused(reason):
            await me.retry(lost.id)
        left = await me.get(lost.id)
        assert (left.state, left.failure.code) == (SNAPSHOT_STATE_ERROR, "IMAGE_NOT_FOUND")
        assert await me.usage() == (1, 2)


async def test_ten_retries_for_the_last_place(world: World, me: Member) -> None:
    made = [await failed(world, me, f"n{n}", image=f"x:{n}") for n in range(10)]
    world.orgs.answers[me.organization] = limits(quota=1)
    world.orgs.answers[me.organization].revision = 2
    await world.database.pool.execute(
        "UPDATE usage SET limits_revision = 2 WHERE organization_id = $1", UUID(me.organization)
    )
    said = await asyncio.gather(*(me.retry(s.id) for s in made), return_exceptions=True)
    assert sum(isinstance(answer, snapshot_pb2.Snapshot) for answer in said) == 1
    assert await me.usage() == (1, 10)
