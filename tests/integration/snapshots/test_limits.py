"""Limits hold from the moment they are said to; suspensions end what is in use; deletions leave nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from chassis.grpc.caller import Caller
from ratoon.events.v1 import event_pb2
from ratoon.orgs.v1 import organization_service_pb2 as orgs_pb
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_pb2 import (
    SNAPSHOT_STATE_ACTIVE,
    SNAPSHOT_STATE_ERROR,
    SNAPSHOT_STATE_INACTIVE,
    SNAPSHOT_STATE_PENDING,
)
from services.snapshots.commands import retirement, reviews
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import Member, World, refused

DENIED = grpc.StatusCode.PERMISSION_DENIED


def at(revision: int, *, quota: int = 30) -> orgs_pb.GetLimitsResponse:
    said = limits(quota=quota)
    said.revision = revision
    return said


def suspended(
    revision: int, *, since: float = 0.0, grace: int = 24, until: float | None = None
) -> orgs_pb.GetLimitsResponse:
    """Return limits of an organization that is suspended since so many seconds ago."""
    said, now = at(revision), datetime.now(UTC)
    said.suspension.reason, said.suspension.cause = "unpaid", "admin"
    said.suspension.time.FromDatetime(now - timedelta(seconds=since))
    said.limits.suspension_cleanup_grace_period_hours = grace
    if until is not None:
        said.suspension.until_time.FromDatetime(now + timedelta(seconds=until))
    return said


async def apply(world: World, organization: str) -> None:
    """Do what the gateway does before it answers an administrator."""
    root = Caller(credential="oidc", user_id="root", system_admin=True)
    request = pb.ApplyLimitsRequest(organization_id=organization)
    await world.stub.ApplyLimits(request, metadata=world.keyring.metadata(root))


async def say(world: World, organization: str, payload: str = "organization_changed") -> None:
    """Do what orgs does after a change."""
    event = event_pb2.Event(organization_id=organization)
    getattr(event, payload).organization_id = organization
    await world.orgs.say(event)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0)


async def due(world: World, organization: str) -> Any:
    return await world.database.pool.fetchval(
        "SELECT due_at FROM reviews WHERE organization_id = $1", UUID(organization)
    )


async def test_the_next_request_after_a_suspension_is_refused(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = at(1)
    made = await me.active()
    await me.deactivate(made.id)
    for revision in range(2, 12, 2):
        world.orgs.answers[me.organization] = suspended(revision)
        await apply(world, me.organization)
        async with refused("ORGANIZATION_SUSPENDED", DENIED):
            await me.create(f"n{revision}")
        async with refused("ORGANIZATION_SUSPENDED", DENIED):
            await me.activate(made.id)
        world.orgs.answers[me.organization] = at(revision + 1)
        await apply(world, me.organization)
        await me.create(f"n{revision}")


async def test_the_refusal_says_who_is_suspended_and_why(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = suspended(1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await me.create()
    assert caught.value.details() == f"organization {me.organization} is suspended: unpaid"


async def test_a_suspension_ends_at_its_end(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = suspended(1, until=0.5)
    ends = time.monotonic() + 0.5
    async with refused("ORGANIZATION_SUSPENDED", DENIED):
        await me.create()

    async def created() -> bool:
        try:
            await me.create()
        except grpc.aio.AioRpcError:
            return False
        return True

    await until(created)
    assert time.monotonic() >= ends - 0.05


async def test_a_server_that_remembers_old_limits_does_not_go_by_them(
    world: World, me: Member
) -> None:
    """Another server was told: this one remembers the limits of before, and makes nothing under them."""
    world.orgs.answers[me.organization] = at(1)
    made = await me.active()
    await me.deactivate(made.id)
    asked = len(world.orgs.asked)
    world.orgs.answers[me.organization] = suspended(2)
    async with world.database.sessions.begin() as session:
        await reviews.apply(session, UUID(me.organization), 2)
    async with refused("ORGANIZATION_SUSPENDED", DENIED):
        await me.create("other")
    assert world.orgs.asked[asked:] == [me.organization]
    async with refused("ORGANIZATION_SUSPENDED", DENIED):
        await me.activate(made.id)
    assert (await me.usage())[0] == 0
    # Nothing that is older counts.
    async with world.database.sessions.begin() as session:
        await reviews.apply(session, UUID(me.organization), 1)
    async with refused("ORGANIZATION_SUSPENDED", DENIED):
        await me.create("other")


@pytest.mark.parametrize("round_", range(4))
async def test_no_place_is_taken_beyond_the_quota_that_holds(
    world: World, me: Member, round_: int
) -> None:
    world.orgs.answers[me.organization] = at(1, quota=40)
    await me.create("first")
    answered: list[int] = []
    done = asyncio.Event()

    async def create(lane: int) -> None:
        number = 0
        while not done.is_set():
            number += 1
            try:
                await me.create(f"n{lane}-{number}", image=f"alpine:{lane}")
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0)

    lanes = [asyncio.create_task(create(lane)) for lane in range(6)]
    for revision, quota in enumerate((5, 12, 8, 20), start=2):
        world.orgs.answers[me.organization] = at(revision, quota=quota)
        await apply(world, me.organization)
        held = (await me.usage())[0]
        for _ in range(15):
            await asyncio.sleep(0.002)
            used = (await me.usage())[0]
            # What was there before stays; nothing comes on top of what may be.
            assert used <= max(held, quota)
        answered.append(used)
    done.set()
    await asyncio.gather(*lanes)
    counted = await world.database.pool.fetchval(
        "SELECT count(*) FROM snapshots WHERE organization_id = $1", UUID(me.organization)
    )
    assert (await me.usage())[0] == counted <= max(answered[-1], 20)
    request = pb.GetUsageRequest(organization_id=me.organization)
    usage = await world.stub.GetUsage(request, metadata=me.metadata)
    assert usage.snapshots == counted


async def test_usage_of_who_has_nothing(world: World, me: Member) -> None:
    request = pb.GetUsageRequest(organization_id=me.organization)
    assert (await world.stub.GetUsage(request, metadata=me.metadata)).snapshots == 0
    nobody = world.member()
    async with refused("ORGANIZATION_FORBIDDEN", DENIED):
        await world.stub.GetUsage(request, metadata=nobody.metadata)


async def test_only_administrators_apply_limits(world: World, me: Member) -> None:
    request = pb.ApplyLimitsRequest(organization_id=me.organization)
    async with refused("SYSTEM_ADMIN_REQUIRED", DENIED):
        await world.stub.ApplyLimits(request, metadata=me.metadata)
    world.orgs.deleted.add(me.organization)
    for gone in (me.organization, "abc", ""):
        async with refused("ORGANIZATION_FORBIDDEN", DENIED):
            await apply(world, gone)


async def test_the_word_of_orgs_alone_is_enough(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = at(1)
    await me.create("first")
    world.orgs.answers[me.organization] = suspended(2)
    await say(world, me.organization)

    async def known() -> bool:
        row = await world.database.pool.fetchval(
            "SELECT limits_revision FROM usage WHERE organization_id = $1", UUID(me.organization)
        )
        return bool(row == 2)

    await until(known)
    async with refused("ORGANIZATION_SUSPENDED", DENIED):
        await me.create("second")


async def _everything(world: World, me: Member) -> dict[str, str]:
    """Return the ids of snapshots in every state that matters here, by what they are."""
    await world.work()
    await me.create("failed", image="broken:1")
    claim = await world.claim()
    assert claim is not None
    await world.fail(claim)
    active = [await me.active(f"active{n}", image=f"alpine:{n}") for n in range(3)]
    await world.database.pool.execute(
        "UPDATE snapshots SET general = true WHERE id = $1", UUID(active[2].id)
    )
    await world.database.pool.execute(
        "UPDATE usage SET total = total - 1 WHERE organization_id = $1", UUID(me.organization)
    )
    waiting = await me.create("waiting", image="busybox:1")
    failed = await me.get("failed")
    return {
        "failed": failed.id,
        "active0": active[0].id,
        "active1": active[1].id,
        "general": active[2].id,
        "waiting": waiting.id,
    }


async def test_what_is_in_use_goes_out_of_use_when_the_grace_period_is_over(
    world: World, me: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews.take_out_of_use, "__kwdefaults__", {"limit": 1})
    world.orgs.answers[me.organization] = at(1)
    made = await _everything(world, me)
    world.orgs.answers[me.organization] = suspended(2, since=25 * 3600, grace=24)
    await say(world, me.organization)

    async def clean() -> bool:
        return await due(world, me.organization) is None and (await me.usage())[0] == 1

    await until(clean)
    states = {what: (await me.get(id_)).state for what, id_ in made.items()}
    assert states == {
        "failed": SNAPSHOT_STATE_ERROR,
        "active0": SNAPSHOT_STATE_INACTIVE,
        "active1": SNAPSHOT_STATE_INACTIVE,
        "general": SNAPSHOT_STATE_ACTIVE,
        "waiting": SNAPSHOT_STATE_INACTIVE,
    }
    assert await world.claim() is None
    world.orgs.answers[me.organization] = at(3)
    await apply(world, me.organization)
    assert (await me.activate(made["active0"])).state == SNAPSHOT_STATE_ACTIVE
    assert (await me.activate(made["waiting"])).state == SNAPSHOT_STATE_PENDING
    await world.work()


async def test_it_waits_for_the_end_of_the_grace_period(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = at(1)
    made = await me.active()
    world.orgs.answers[me.organization] = suspended(2, since=3600 - 0.7, grace=1)
    ends = time.monotonic() + 0.7
    await say(world, me.organization)
    await until(lambda: _is(me, made.id, SNAPSHOT_STATE_INACTIVE))
    assert time.monotonic() >= ends - 0.1


async def _is(me: Member, id_: str, state: Any) -> bool:
    return bool((await me.get(id_)).state == state)


async def test_no_grace_means_now(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = at(1)
    made = await me.active()
    world.orgs.answers[me.organization] = suspended(2, grace=0)
    await say(world, me.organization)
    await until(lambda: _is(me, made.id, SNAPSHOT_STATE_INACTIVE))


@pytest.mark.parametrize(
    "said",
    [
        lambda: suspended(2, grace=24),
        lambda: suspended(2, since=10, grace=24, until=3600),
        lambda: suspended(2, since=25 * 3600, grace=24, until=-1),
        lambda: at(2),
    ],
    ids=["not yet", "ends before", "ended", "not suspended"],
)
async def test_what_is_not_over_due_stays_in_use(
    world: World, me: Member, said: Callable[[], orgs_pb.GetLimitsResponse]
) -> None:
    world.orgs.answers[me.organization] = at(1)
    made = await me.active()
    world.orgs.answers[me.organization] = said()
    await say(world, me.organization)

    async def looked() -> bool:
        next_ = await due(world, me.organization)
        revision = await world.database.pool.fetchval(
            "SELECT limits_revision FROM usage WHERE organization_id = $1", UUID(me.organization)
        )
        return revision == 2 and (next_ is None or next_ > datetime.now(UTC))

    await until(looked)
    assert (await me.get(made.id)).state == SNAPSHOT_STATE_ACTIVE
    suspension = world.orgs.answers[me.organization].suspension
    still = suspension.HasField("time") and not suspension.HasField("until_time")
    next_ = await due(world, me.organization)
    assert (next_ is not None) == still
    if next_ is not None:
        assert abs((next_ - datetime.now(UTC)).total_seconds() - 24 * 3600) < 60
        # It is lifted before: nothing is left to be done.
        world.orgs.answers[me.organization] = at(3)
        await say(world, me.organization)

        async def settled() -> bool:
            return await due(world, me.organization) is None

        await until(settled)


async def test_what_was_lifted_meanwhile_ends_nothing(world: World, me: Member) -> None:
    made = await me.active()
    organization = UUID(me.organization)
    async with world.database.sessions.begin() as session:
        await reviews.apply(session, organization, 3)
    async with world.database.sessions.begin() as session:
        assert not await reviews.take_out_of_use(session, organization, 2)
    assert (await me.get(made.id)).state == SNAPSHOT_STATE_ACTIVE


async def test_one_of_which_nothing_is_said_keeps_nobody_waiting(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = at(1)
    made, silent = await me.active(), world.member()
    world.orgs.away.add(silent.organization)
    world.orgs.answers[me.organization] = suspended(2, since=60, grace=0)
    for organization in (silent.organization, me.organization):
        async with world.database.sessions.begin() as session:
            await reviews.ask(session, UUID(organization))

    async def idle() -> bool:
        return (await me.get(made.id)).state == SNAPSHOT_STATE_INACTIVE

    await until(idle)
    world.orgs.away.clear()

    async def settled() -> bool:
        return await due(world, silent.organization) is None

    await until(settled)


async def _counts(world: World, organization: str) -> dict[str, int]:
    found = {}
    for table in ("snapshots", "pulls", "artifacts", "artifact_digests", "usage", "reviews"):
        found[table] = await world.database.pool.fetchval(
            f"SELECT count(*) FROM {table} WHERE organization_id = $1", UUID(organization)
        )
    return found


async def test_a_deleted_organization_leaves_nothing(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = at(1)
    digest = "sha256:" + uuid4().hex * 2
    made = await _everything(world, me)
    await me.active("own", image="own:1")
    await world.work(digest)
    world.orgs.deleted.add(me.organization)
    await say(world, me.organization, "organization_deleted")

    async def idle() -> bool:
        return (await me.usage())[0] == 0

    await until(idle)
    for call in (me.create("late"), me.activate(made["active0"])):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() in (DENIED, grpc.StatusCode.FAILED_PRECONDITION)
    await world.erase_all()
    # The account stays closed for as long as anybody may go by limits of before.
    assert await _counts(world, me.organization) == {
        "snapshots": 0,
        "pulls": 0,
        "artifacts": 0,
        "artifact_digests": 0,
        "usage": 1,
        "reviews": 1,
    }
    assert (await due(world, me.organization)) > datetime.now(UTC) + timedelta(minutes=5)
    async with world.database.sessions.begin() as session:
        await reviews.ask(session, UUID(me.organization))

    async def forgotten() -> bool:
        return not any((await _counts(world, me.organization)).values())

    await until(forgotten)
    async with refused("ORGANIZATION_FORBIDDEN", DENIED):
        await me.create("late")
    assert not any((await _counts(world, me.organization)).values())


async def test_an_account_is_kept_until_nothing_is_left(world: World, me: Member) -> None:
    await me.active()
    organization = UUID(me.organization)
    async with world.database.sessions.begin() as session:
        # Not closed: nothing to forget.
        assert await retirement.forget(session, organization)
    assert (await _counts(world, me.organization))["usage"] == 1
    async with world.database.sessions.begin() as session:
        await retirement.close_organization(session, organization)
        assert not await retirement.forget(session, organization)
    assert (await _counts(world, me.organization))["usage"] == 1
