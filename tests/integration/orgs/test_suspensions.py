"""Suspensions: who sets and who ends them, and the wait for a verified address beside them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.listen import Wakeups
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1.organization_pb2 import Suspension
from services.orgs.commands.suspensions import SUSPENSIONS
from services.orgs.servicer.suspensions import end_suspensions
from tests.integration.orgs.conftest import House, outcome, refusal


def _in(**span: float) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime(datetime.now(UTC) + timedelta(**span))
    return moment


async def _suspend(house: House, id_: str, **asked: Any) -> None:
    request = pb.SuspendOrganizationRequest(organization_id=id_, **asked)
    await house.organizations.SuspendOrganization(request, metadata=house.as_admin())


async def _lift(house: House, id_: str) -> None:
    request = pb.UnsuspendOrganizationRequest(organization_id=id_)
    await house.organizations.UnsuspendOrganization(request, metadata=house.as_admin())


async def _seen(house: House, id_: str) -> Suspension | None:
    limits = await house.limits(id_)
    return limits.suspension if limits.HasField("suspension") else None


async def _cause(house: House, id_: str) -> str:
    seen = await _seen(house, id_)
    return "" if seen is None else seen.cause


async def test_an_administrator_suspends_and_lifts(house: House) -> None:
    owner, personal = await house.person()
    await _suspend(house, personal, reason="unpaid", cleanup_grace_period_hours=0)
    seen = await _seen(house, personal)
    assert seen is not None
    assert (seen.reason, seen.cause, seen.HasField("until_time")) == ("unpaid", "admin", False)
    shown = await house.get(owner, personal)
    assert shown.suspension == seen
    assert shown.limits.suspension_cleanup_grace_period_hours == 0
    assert await house.told(personal) == (
        ["suspended"],
        {"action": "suspend", "reason": "unpaid", "suspensionCleanupGracePeriodHours": 0},
    )
    await _suspend(house, personal)
    again = await _seen(house, personal)
    assert again is not None
    assert again.time.ToNanoseconds() > seen.time.ToNanoseconds()
    assert again.reason == ""
    assert (await house.limits(personal)).limits.suspension_cleanup_grace_period_hours == 0
    for _ in range(2):
        await _lift(house, personal)
        assert await _seen(house, personal) is None
    assert await house.told(personal) == (["suspended"], {"action": "unsuspend"})
    assert (await house.limits(personal)).revision == 4


@pytest.mark.parametrize(
    "asked",
    [
        {"cleanup_grace_period_hours": -1},
        {"until_time": Timestamp(seconds=1)},
        {"until_time": Timestamp(seconds=2**40)},
        {"until_time": Timestamp(seconds=-(2**60))},
        {"reason": "a\x00b"},
    ],
)
async def test_a_suspension_that_is_none(house: House, asked: dict[str, Any]) -> None:
    _, personal = await house.person()
    refused = await refusal(_suspend(house, personal, **asked))
    assert refused == ("INVALID_ARGUMENT", "SUSPENSION_INVALID")
    assert await _seen(house, personal) is None
    for id_ in ("abc", "", "00000000-0000-4000-8000-00000000dead"):
        assert await outcome(_suspend(house, id_)) == "ORGANIZATION_NOT_FOUND"
        assert await outcome(_lift(house, id_)) == "ORGANIZATION_NOT_FOUND"


async def test_verification_lifts_only_its_own(house: House) -> None:
    user_id, personal = await house.person()
    await _suspend(house, personal, reason="abuse")
    await house.ensure(user_id, verified=True)
    assert await _cause(house, personal) == "admin"


async def test_an_administrators_suspension_stands_before_the_wait(house: House) -> None:
    user_id, personal = await house.person(verified=False)
    assert await _cause(house, personal) == "email-verification"
    await _suspend(house, personal, reason="abuse")
    seen = await _seen(house, personal)
    assert seen is not None
    assert (seen.cause, seen.reason) == ("admin", "abuse")
    await house.ensure(user_id, verified=True)
    assert await _cause(house, personal) == "admin"
    await _lift(house, personal)
    assert await _cause(house, personal) == ""


async def test_the_wait_is_not_forgotten(house: House) -> None:
    user_id, personal = await house.person(verified=False)
    since = await _seen(house, personal)
    await _suspend(house, personal, reason="abuse")
    await _lift(house, personal)
    assert await _seen(house, personal) == since
    await _lift(house, personal)
    assert await _cause(house, personal) == "email-verification"
    await house.ensure(user_id, verified=True)
    assert await _cause(house, personal) == ""


async def test_the_wait_holds_again_when_the_end_is_past(house: House) -> None:
    user_id, personal = await house.person(verified=False)
    await _suspend(house, personal, until_time=_in(hours=1))
    await house.database.pool.execute(
        "UPDATE organizations SET suspended_until = now() WHERE id = $1", personal
    )
    assert await _cause(house, personal) == "email-verification"
    assert (await house.get(user_id, personal)).suspension.cause == "email-verification"


@pytest.mark.parametrize("round_", range(5))
async def test_suspension_and_verification_at_once(house: House, round_: int) -> None:
    user_id, personal = await house.person(verified=False)
    await asyncio.gather(_suspend(house, personal), house.ensure(user_id, verified=True))
    assert await _cause(house, personal) == "admin"
    await _lift(house, personal)
    assert await _cause(house, personal) == ""


@asynccontextmanager
async def _ending(house: House) -> AsyncIterator[None]:
    """Have suspensions end by themselves."""
    wakeups = Wakeups(house.settings.database_url.get_secret_value(), "test")
    tasks = [
        asyncio.create_task(wakeups.run((SUSPENSIONS,))),
        asyncio.create_task(end_suspensions(house.database.sessions, wakeups)),
    ]
    yield
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0)


async def test_a_suspension_ends_by_itself(house: House) -> None:
    _, waiting = await house.person(verified=False)
    _, personal = await house.person()
    _, later = await house.person()

    async def told() -> bool:
        said = [p for t, p in await house.events(personal) if t == "audited"]
        return len(said) == 2

    async with _ending(house):
        await _suspend(house, later, until_time=_in(hours=1))
        await _suspend(house, waiting, until_time=_in(seconds=0.2))
        await _suspend(house, personal, until_time=_in(seconds=0.3))
        assert await _cause(house, personal) == "admin"
        await _until(told)
    assert await house.told(personal) == (["suspended"], {"action": "unsuspend", "ended": "until"})
    assert await _cause(house, personal) == ""
    assert await _cause(house, waiting) == "email-verification"
    assert await _cause(house, later) == "admin"
    row = await house.database.pool.fetchrow(
        "SELECT suspended_at, suspended_until, suspension_reason FROM organizations WHERE id = $1",
        personal,
    )
    assert row is not None
    assert tuple(row) == (None, None, "")


async def test_what_ended_while_nobody_looked_is_ended(house: House) -> None:
    _, personal = await house.person()
    await _suspend(house, personal, until_time=_in(hours=1))
    await house.database.pool.execute(
        "UPDATE organizations SET suspended_until = now() WHERE id = $1", personal
    )

    async def told() -> bool:
        return (await house.events(personal))[-1][1].get("action") == "unsuspend"

    async with _ending(house):
        await _until(told)
