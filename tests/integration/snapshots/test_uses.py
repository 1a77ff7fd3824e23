"""What sandboxes start from: found, activated on the way, each start counted once."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import grpc
import pytest

from chassis.grpc.wire import from_timestamp, to_timestamp
from ratoon.orgs.v1 import organization_pb2
from ratoon.orgs.v1 import organization_service_pb2 as orgs_pb
from ratoon.snapshots.v1 import snapshot_use_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_pb2 import SNAPSHOT_STATE_ACTIVE, SNAPSHOT_STATE_INACTIVE
from services.snapshots.commands import uses
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import Member, World, refused

CONFLICT, INVALID = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def no_work_left_over(world: World) -> None:
    await world.work()
    await world.erase_all()


def a_use(snapshot_id: str, at: datetime = LONG_AGO, **more: str) -> pb.Use:
    known = {"id": str(uuid4()), "organization_id": str(uuid4()), **more}
    return pb.Use(snapshot_id=snapshot_id, time=to_timestamp(at), **known)


async def record(world: World, *told: pb.Use) -> pb.RecordUsesResponse:
    request = pb.RecordUsesRequest(uses=told)
    answer: pb.RecordUsesResponse
    answer = await world.uses.RecordUses(request, metadata=world.sandboxes)
    return answer


def auto(quota: int = 30) -> orgs_pb.GetLimitsResponse:
    answer = limits(quota=quota)
    answer.snapshot_auto_activation = True
    return answer


async def test_each_use_counts_once(world: World, me: Member) -> None:
    made, other = await me.active("a"), await me.active("b")
    told = [a_use(made.id) for _ in range(3)]
    soon = datetime.now(UTC) + timedelta(minutes=-1)
    more = [told[0], a_use(made.id, soon), a_use(other.id), a_use(other.id)]
    assert (await record(world, *told)).recorded == 3
    assert (await record(world, *more, more[1])).recorded == 3
    assert (await record(world, *told, *more)).recorded == 0
    seen, beside = await me.get("a"), await me.get("b")
    assert (seen.use_count, beside.use_count) == (4, 2)
    # What is told late moves nothing back.
    assert seen.last_use_time == made.last_use_time
    assert (await me.page()).snapshots[0].use_count in (4, 2)


async def test_the_last_use_is_the_latest_and_never_to_come(world: World, me: Member) -> None:
    made = await me.active()
    await world.database.pool.execute(
        "UPDATE snapshots SET last_used_at = NULL WHERE id = $1", UUID(made.id)
    )
    late, later = LONG_AGO + timedelta(days=1), LONG_AGO + timedelta(days=2)
    await record(world, a_use(made.id, later), a_use(made.id, late))
    assert from_timestamp((await me.get("base")).last_use_time) == later
    await record(world, a_use(made.id, datetime.now(UTC) + timedelta(days=900)))
    assert from_timestamp((await me.get("base")).last_use_time) <= datetime.now(UTC)


async def test_who_uses_what_is_everybodys_is_known(world: World, me: Member) -> None:
    made, other = await me.active(), world.member()
    await world.set_general(made.id, general=True)
    use = a_use(made.id, organization_id=other.organization)
    await record(world, use)
    row = await world.database.pool.fetchrow("SELECT * FROM uses WHERE id = $1", UUID(use.id))
    assert row is not None
    assert (str(row["snapshot_id"]), str(row["organization_id"])) == (made.id, other.organization)
    assert (await me.get("base")).use_count == 1
    await world.set_general(made.id, general=False)


async def test_what_is_gone_is_said_and_the_rest_counted(world: World, me: Member) -> None:
    made, gone = await me.active(), str(uuid4())
    answer = await record(world, a_use(gone), a_use(made.id), a_use(gone))
    assert (answer.recorded, list(answer.unknown_snapshot_ids)) == (1, [gone])
    assert (await record(world)).recorded == 0


async def test_told_by_many_at_once_nothing_is_lost_or_doubled(world: World, me: Member) -> None:
    made = [await me.active(f"n{n}") for n in range(5)]
    told = [a_use(made[n % 5].id) for n in range(200)]
    dice = random.Random(7)

    async def tell() -> int:
        shuffled = dice.sample(told, len(told))
        batches = [shuffled[at : at + 40] for at in range(0, 200, 40)]
        return sum([(await record(world, *batch)).recorded for batch in batches])

    assert sum(await asyncio.gather(*(tell() for _ in range(6)))) == 200
    assert [(await me.get(s.id)).use_count for s in made] == [40] * 5


@pytest.mark.parametrize("field", ["id", "snapshot_id", "organization_id"])
async def test_a_use_has_ids_and_a_moment(world: World, field: str) -> None:
    for wrong in ("", "base", "x\0"):
        use = a_use(str(uuid4()))
        setattr(use, field, wrong)
        async with refused("USE_INVALID", INVALID):
            await record(world, use)
    use.CopyFrom(a_use(str(uuid4())))
    use.ClearField("time")
    async with refused("USE_INVALID", INVALID):
        await record(world, use)
    use.time.seconds = 10**17
    async with refused("USE_INVALID", INVALID):
        await record(world, use)
    async with refused("USE_INVALID", INVALID):
        await record(world, *[a_use(str(uuid4()))] * 1001)


async def test_only_the_machine_that_starts_sandboxes_asks(world: World, me: Member) -> None:
    ask = pb.ResolveForUseRequest(organization_id=me.organization, ref="base")
    other = world.keyring.identity("gateway").metadata()
    for metadata, reason in ((me.metadata, "CREDENTIAL_INVALID"), (other, "SERVICE_REFUSED")):
        async with refused(reason):
            await world.uses.ResolveForUse(ask, metadata=metadata)
        async with refused(reason):
            await world.uses.RecordUses(pb.RecordUsesRequest(), metadata=metadata)


async def test_own_names_come_before_own_ids_and_those_before_general_ones(
    world: World, me: Member
) -> None:
    other = world.member()
    general, only = await other.active("base"), await other.active("only")
    for shown in (general, only):
        await world.set_general(shown.id, general=True)
    assert (await me.resolve("base")).snapshot.id == general.id
    assert (await me.resolve(only.id)).snapshot.id == only.id
    own = await me.active("base")
    shadow = await me.active(own.id)
    assert (await me.resolve("base")).snapshot.id == own.id
    assert (await me.resolve(own.id)).snapshot.id == shadow.id
    for hidden in (general, only):
        await world.set_general(hidden.id, general=False)
    for ref in ("only", only.id, str(uuid4()), "x\0"):
        async with refused("SNAPSHOT_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            await me.resolve(ref)


async def test_it_may_be_used_only_where_and_while_it_may(world: World, me: Member) -> None:
    made = await me.active()
    assert (await me.resolve("base", region_id="eu")).snapshot.id == made.id
    for region in ("us", "nowhere"):
        async with refused("REGION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            await me.resolve("base", region_id=region)
    suspended = limits()
    suspended.suspension.CopyFrom(organization_pb2.Suspension())
    someone = world.member()
    world.orgs.answers[someone.organization] = suspended
    await world.set_general(made.id, general=True)
    async with refused("ORGANIZATION_SUSPENDED", grpc.StatusCode.PERMISSION_DENIED):
        await someone.resolve("base")
    await world.set_general(made.id, general=False)
    world.orgs.deleted.add(gone := str(uuid4()))
    for organization in (gone, "abc", ""):
        async with refused("ORGANIZATION_FORBIDDEN", grpc.StatusCode.PERMISSION_DENIED):
            await Member(world, organization).resolve("base")
    async with refused("USE_INVALID", INVALID):
        await me.resolve("base", use_id="one")


async def test_found_and_used_at_once(world: World, me: Member) -> None:
    made, use = await me.active(), str(uuid4())
    for _ in range(2):
        found = await me.resolve("base", use_id=use)
        assert (found.snapshot.use_count, found.activated) == (1, False)
    assert (await record(world, a_use(made.id, id=use))).recorded == 0
    assert from_timestamp(found.snapshot.last_use_time) > from_timestamp(made.last_use_time)


async def test_what_is_inactive_is_used_only_if_the_organization_wants_it(
    world: World, me: Member
) -> None:
    made = await me.active()
    await me.deactivate(made.id)
    async with refused("SNAPSHOT_STATE_CONFLICT", CONFLICT):
        await me.resolve("base")
    assert await me.usage() == (0, 1)


async def test_what_is_inactive_is_activated_by_use(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = auto()
    made, use = await me.active(), str(uuid4())
    await me.deactivate(made.id)
    found = await me.resolve("base", use_id=use)
    assert found.activated
    assert (found.snapshot.state, found.snapshot.use_count) == (SNAPSHOT_STATE_ACTIVE, 1)
    assert await me.usage() == (1, 1)
    assert (await me.events())[-2:] == [("snapshot_state_changed", "active"), ("audited", "")]
    assert await me.audited() == [("activate", made.id, "sandboxes")]
    again = await me.resolve("base", use_id=use)
    assert (again.activated, again.snapshot.use_count) == (False, 1)


async def test_many_who_want_the_same_wake_it_once(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = auto()
    made = await me.active()
    for round_ in range(5):
        await me.deactivate(made.id)
        found = await asyncio.gather(*(me.resolve("base", use_id=str(uuid4())) for _ in range(8)))
        assert sum(f.activated for f in found) == 1
        assert (await me.get("base")).use_count == 8 * (round_ + 1)
    assert await me.usage() == (1, 1)
    assert len(await me.audited()) == 5


async def test_use_wakes_nothing_beyond_the_quota(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = auto(quota=1)
    made = await me.active("a")
    await me.deactivate(made.id)
    await me.active("b")
    async with refused("SNAPSHOT_QUOTA_EXCEEDED", CONFLICT):
        await me.resolve("a", use_id=str(uuid4()))
    left = await me.get("a")
    assert (left.state, left.use_count) == (SNAPSHOT_STATE_INACTIVE, 0)
    assert await me.usage() == (1, 2)


async def test_use_wakes_nothing_that_is_not_there(world: World, me: Member) -> None:
    """Neither what would have to be fetched, nor what failed, nor what is somebody else's."""
    world.orgs.answers[me.organization] = auto()
    made = await me.active("lost", image="lost:1")
    await me.deactivate(made.id)
    await world.database.pool.execute(
        "UPDATE artifacts SET stored = false WHERE organization_id = $1", UUID(me.organization)
    )
    await me.create("failed", "x:1")
    claim = await world.claim()
    assert claim is not None
    await world.fail(claim)
    other = world.member()
    theirs = await other.active("theirs")
    await world.set_general(theirs.id, general=True)
    await other.deactivate(theirs.id)
    never = await me.create("never", "y:1")
    await me.deactivate(never.id)
    for ref in ("lost", "failed", "theirs", "never"):
        async with refused("SNAPSHOT_STATE_CONFLICT", CONFLICT):
            await me.resolve(ref)
    assert await me.usage() == (0, 3)
    await world.set_general(theirs.id, general=False)


async def test_uses_are_forgotten_when_nobody_tells_of_them_again(world: World, me: Member) -> None:
    made = await me.active()
    old, young = a_use(made.id), a_use(made.id)
    await record(world, old, young)
    await world.database.pool.execute(
        "UPDATE uses SET recorded_at = now() - interval '8 days' WHERE id = $1", UUID(old.id)
    )
    async with world.database.sessions.begin() as session:
        assert await uses.forget(session) == 1
    left = await world.database.pool.fetch(
        "SELECT id FROM uses WHERE snapshot_id = $1", UUID(made.id)
    )
    assert [str(row["id"]) for row in left] == [young.id]
    assert (await me.get("base")).use_count == 2
