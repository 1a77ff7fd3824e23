"""What nobody uses goes out of use, when it is due and not before; a use at the same moment wins."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import grpc
import pytest

from chassis.grpc.wire import to_timestamp
from ratoon.orgs.v1 import organization_pb2
from ratoon.orgs.v1 import organization_service_pb2 as orgs_pb
from ratoon.snapshots.v1 import snapshot_use_service_pb2 as use_pb
from ratoon.snapshots.v1.snapshot_pb2 import SNAPSHOT_STATE_ACTIVE, SNAPSHOT_STATE_INACTIVE
from services.snapshots.commands import idle, reviews
from services.snapshots.domain import Busy
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import Member, World

MINUTES = 60
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TIMEOUT = timedelta(minutes=MINUTES)
ACTIVE, INACTIVE = SNAPSHOT_STATE_ACTIVE, SNAPSHOT_STATE_INACTIVE


@pytest.fixture(autouse=True)
async def no_work_left_over(world: World) -> None:
    await world.work()
    await world.erase_all()


async def used(world: World, id_: str, last: datetime | None, made: datetime | None = None) -> None:
    """Have it last been used, and made (long ago), at these moments."""
    await world.database.pool.execute(
        "UPDATE snapshots SET last_used_at = $2, created_at = $3 WHERE id = $1",
        UUID(id_),
        last,
        made or NOW - timedelta(days=900),
    )


async def apart(world: World, me: Member, *names: str) -> list[str]:
    """Make active snapshots, each of an artifact of its own; return their ids."""
    found = []
    for number, name in enumerate(names):
        await me.create(name, f"{name}:1")
        await world.work(f"sha256:{number + 2:064x}")
        found.append((await me.get(name)).id)
    return found


async def rest(world: World, me: Member, now: datetime = NOW) -> None:
    """Do what is done when it is `now`."""
    more = True
    while more:
        async with world.database.sessions.begin() as session:
            more = await idle.deactivate(
                session, UUID(me.organization), now - TIMEOUT, 2**40, limit=2
            )


async def next_due(world: World, me: Member, now: datetime = NOW) -> datetime:
    async with world.database.sessions.begin() as session:
        return await idle.next_due(session, UUID(me.organization), now, TIMEOUT)


async def states(me: Member) -> dict[str, int]:
    return {s.name: s.state for s in (await me.page()).snapshots}


async def test_only_what_was_neither_made_nor_used_since(world: World, me: Member) -> None:
    ids = await apart(world, me, "idle", "used", "made", "never", "old", "general")
    second, minute = timedelta(seconds=1), timedelta(minutes=1)
    await used(world, ids[0], NOW - TIMEOUT - second)
    await used(world, ids[1], NOW - TIMEOUT + minute)
    await used(world, ids[2], NOW - TIMEOUT - minute, NOW - TIMEOUT + second)
    await used(world, ids[3], None)
    await used(world, ids[4], NOW - timedelta(days=50))
    await used(world, ids[5], NOW - timedelta(days=50))
    await world.set_general(ids[5], general=True)
    await rest(world, me)
    assert await states(me) == {
        "idle": INACTIVE, "used": ACTIVE, "made": ACTIVE, "never": INACTIVE, "old": INACTIVE, "general": ACTIVE,
    }  # fmt: skip
    assert await me.usage() == (3, 5)
    told = [(action, who) for action, _, who in await me.audited() if action == "deactivate"]
    assert told == [("deactivate", "")] * 3
    changed = [e for e in await me.events() if e == ("snapshot_state_changed", "inactive")]
    assert len(changed) == 3
    assert await next_due(world, me) == NOW + second
    await rest(world, me, NOW + second + second)
    assert (await states(me))["made"] == INACTIVE
    assert await next_due(world, me, NOW + second + second) == NOW + minute
    await world.set_general(ids[5], general=False)


async def test_names_of_one_artifact_keep_each_other_in_use(world: World, me: Member) -> None:
    first, second = await me.active("a"), await me.active("b")
    (other,) = await apart(world, me, "c")
    await used(world, first.id, NOW - TIMEOUT - timedelta(days=1))
    await used(world, second.id, NOW - TIMEOUT + timedelta(minutes=5))
    await used(world, other, NOW)
    await rest(world, me)
    assert set((await states(me)).values()) == {ACTIVE}
    # A general one keeps its siblings too, and is what the next look waits for.
    await world.set_general(second.id, general=True)
    await rest(world, me)
    due = await next_due(world, me)
    assert due == NOW + timedelta(minutes=5)
    await rest(world, me, due + timedelta(seconds=1))
    assert await states(me) == {"a": INACTIVE, "b": ACTIVE, "c": ACTIVE}
    await world.set_general(second.id, general=False)
    await rest(world, me, due + timedelta(seconds=1))
    assert await states(me) == {"a": INACTIVE, "b": INACTIVE, "c": ACTIVE}


async def test_a_sibling_out_of_use_keeps_nothing(world: World, me: Member) -> None:
    first, second = await me.active("a"), await me.active("b")
    await used(world, first.id, NOW - TIMEOUT - timedelta(days=1))
    await used(world, second.id, NOW)
    await me.deactivate(second.id)
    await rest(world, me)
    assert (await states(me))["a"] == INACTIVE


async def test_other_organizations_and_other_states_are_left_alone(
    world: World, me: Member
) -> None:
    (mine,) = await apart(world, me, "mine")
    (theirs,) = await apart(world, other := world.member(), "theirs")
    waiting = await me.create("waiting", "z:1")
    for id_ in (mine, theirs, waiting.id):
        await used(world, id_, NOW - timedelta(days=99))
    await rest(world, me)
    assert (await other.get("theirs")).state == ACTIVE
    assert (await me.get("mine")).state == INACTIVE
    assert await me.usage() == (1, 2)


async def test_limits_that_hold_no_longer_end_nothing(world: World, me: Member) -> None:
    (made,) = await apart(world, me, "mine")
    await used(world, made, NOW - timedelta(days=99))
    async with world.database.sessions.begin() as session:
        await reviews.apply(session, UUID(me.organization), 7)
        assert not await idle.deactivate(session, UUID(me.organization), NOW - TIMEOUT, 6)
    assert (await me.get("mine")).state == ACTIVE


async def test_a_use_at_the_same_moment_wins(world: World, me: Member) -> None:
    """Told first, even if it is not committed yet when the rule looks."""
    (made,) = await apart(world, me, "mine")
    await used(world, made, NOW - timedelta(days=99))
    async with world.database.sessions.begin() as using:
        row = await using.connection()
        await row.exec_driver_sql(
            f"UPDATE snapshots SET last_used_at = now(), use_count = 1 WHERE id = '{made}'"
        )
        resting = asyncio.create_task(rest(world, me))
        await _waits_for_a_lock(world)
    await resting
    assert (await me.get("mine")).state == ACTIVE
    assert await me.usage() == (1, 1)


async def _waits_for_a_lock(world: World) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not await world.database.pool.fetchval(waiting):
        await asyncio.sleep(0)


async def test_used_and_idle_in_any_order(world: World, me: Member) -> None:
    """What was found for a sandbox stays in use; what went before is refused."""
    (made,) = await apart(world, me, "mine")
    for _ in range(25):
        await used(world, made, NOW - timedelta(days=99))
        found, _ = await asyncio.gather(
            me.resolve("mine", use_id=str(uuid4())), rest(world, me), return_exceptions=True
        )
        left = await me.get("mine")
        assert (left.state == ACTIVE) == isinstance(found, use_pb.ResolveForUseResponse)
        assert await me.usage() == (int(left.state == ACTIVE), 1)
        if left.state == INACTIVE:
            await me.activate(made)


async def test_idle_deactivated_and_deleted_at_once(world: World, me: Member) -> None:
    for number in range(10):
        (made,) = await apart(world, me, f"n{number}")
        await used(world, made, NOW - timedelta(days=99))
        said = await asyncio.gather(rest(world, me), me.delete(made), return_exceptions=True)
        assert all(answer is None or isinstance(answer, Busy) for answer in said)
        assert (await me.usage()) == (0, number + 1)


def idle_after(minutes: int, revision: int) -> orgs_pb.GetLimitsResponse:
    answer = limits()
    answer.revision = revision
    answer.limits.snapshot_deactivation_timeout_minutes = minutes
    return answer


async def review(world: World, me: Member) -> None:
    async with world.database.sessions.begin() as session:
        await reviews.ask(session, UUID(me.organization))


async def due_of(world: World, me: Member) -> datetime | None:
    found: datetime | None = await world.database.pool.fetchval(
        "SELECT due_at FROM reviews WHERE organization_id = $1", UUID(me.organization)
    )
    return found


async def test_the_service_does_it_by_itself_when_it_is_due(world: World, me: Member) -> None:
    """By the first timeout nothing is idle yet; a shorter one takes effect at once, and says when to look next."""
    world.orgs.answers[me.organization] = idle_after(20160, 1)
    old, young = await apart(world, me, "old", "young")
    now = datetime.now(UTC)
    long = timedelta(days=90)
    await used(world, old, now - timedelta(minutes=90), now - long)
    last = now - timedelta(minutes=5)
    await used(world, young, last, now - long)
    assert await due_of(world, me) is not None
    await review(world, me)
    while (due := await due_of(world, me)) is None or due < now + timedelta(days=13):
        await asyncio.sleep(0)
    assert due == now - timedelta(minutes=90) + timedelta(minutes=20160)
    assert await me.usage() == (2, 2)
    world.orgs.answers[me.organization] = idle_after(60, 2)
    await review(world, me)
    while (await me.usage())[0] == 2:
        await asyncio.sleep(0)
    while await due_of(world, me) != last + timedelta(minutes=60):
        await asyncio.sleep(0)
    assert await states(me) == {"old": INACTIVE, "young": ACTIVE}
    # 0: nothing goes out of use, and nobody looks.
    world.orgs.answers[me.organization] = idle_after(0, 3)
    await review(world, me)
    while await due_of(world, me) is not None:
        await asyncio.sleep(0)
    assert (await me.usage())[0] == 1


async def test_the_review_that_is_due_wakes_by_itself(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = idle_after(1, 1)
    (made,) = await apart(world, me, "mine")
    now = datetime.now(UTC)
    # In half a second it has been idle for a minute; nobody asks for anything more than this look.
    await used(world, made, now - timedelta(seconds=59.5), now - timedelta(days=9))
    await review(world, me)
    while (await me.usage())[0]:
        await asyncio.sleep(0.01)
    assert datetime.now(UTC) >= now + timedelta(seconds=0.5)


async def test_a_suspended_organization_is_looked_at_for_both(world: World, me: Member) -> None:
    answer = idle_after(60, 1)
    world.orgs.answers[me.organization] = answer
    (made,) = await apart(world, me, "mine")
    now = datetime.now(UTC)
    await used(world, made, now, now - timedelta(days=9))
    answer.limits.suspension_cleanup_grace_period_hours = 24
    answer.suspension.CopyFrom(organization_pb2.Suspension(time=to_timestamp(now)))
    await review(world, me)
    while await due_of(world, me) != now + timedelta(minutes=60):
        await asyncio.sleep(0)


@pytest.mark.parametrize("minutes", [2**31 - 1, 60 * 24 * 366 * 101])
async def test_centuries_are_never(world: World, me: Member, minutes: int) -> None:
    world.orgs.answers[me.organization] = idle_after(minutes, 1)
    await apart(world, me, "mine")
    await review(world, me)
    while await due_of(world, me) is not None:
        await asyncio.sleep(0)
    with pytest.raises(grpc.aio.AioRpcError):
        await me.create("mine")
