"""Shares of windows: lent once, never more than the limit, given back, gone with their window."""

import asyncio
from typing import Any

import grpc
import pytest

from ratoon.auth.v1 import rate_limit_service_pb2 as pb
from ratoon.auth.v1.rate_limit_service_pb2_grpc import RateLimitServiceStub
from ratoon.orgs.v1 import member_service_pb2
from services.auth.commands import shares
from tests.integration.auth.conftest import World, refusal

Lease = pb.LeaseSharesRequest.Lease
Share = pb.LeaseSharesResponse.Share
INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "LEASES_INVALID")


def a_lease(subject: str = "o:1", **fields: Any) -> Lease:
    usual = {"kind": pb.RATE_LIMIT_KIND_AUTHENTICATED, "limit": 100, "window_seconds": 60}
    return Lease(subject=subject, **usual | fields)


async def ask(world: World, *leases: Lease) -> list[Share]:
    stub = RateLimitServiceStub(world.channel)
    request = pb.LeaseSharesRequest(leases=leases)
    answer = await stub.LeaseShares(request, metadata=world.by("gateway"))
    return list(answer.shares)


async def ask_one(world: World, **fields: Any) -> Share:
    return (await ask(world, a_lease(**fields)))[0]


async def test_what_waits_gets_what_there_is_and_no_more(world: World) -> None:
    first = await ask_one(world, limit=3, needed=2)
    assert (first.granted, first.remaining) == (2, 1)
    assert 58 < first.left.ToTimedelta().total_seconds() <= 60
    second = await ask_one(world, limit=3, needed=5)
    assert (second.granted, second.remaining, second.window) == (1, 0, first.window)
    assert (await ask_one(world, limit=3, needed=1)).granted == 0


async def test_little_is_lent_in_advance_and_less_towards_the_end(world: World) -> None:
    assert (await ask_one(world, needed=1, wanted=50)).granted == 1 + 5
    assert (await ask_one(world, needed=60)).granted == 60
    assert (await ask_one(world, wanted=50)).granted == 34 // 8
    assert (await ask_one(world, subject="o:2", limit=19, needed=1, wanted=50)).granted == 1


async def test_kinds_and_subjects_have_windows_of_their_own(world: World) -> None:
    kinds = [kind for kind in pb.RateLimitKind.values() if kind]
    leases = [a_lease(s, kind=k, limit=1, needed=1) for k in kinds for s in ("o:1", "u:1")]
    assert [share.granted for share in await ask(world, *leases)] == [1] * 8
    assert [share.granted for share in await ask(world, *reversed(leases))] == [0] * 8


async def test_what_is_given_back_is_lent_again_but_not_to_another_window(world: World) -> None:
    first = await ask_one(world, limit=10, needed=10)
    foreign = await ask_one(world, limit=10, needed=1, returned=4, returned_window=first.window + 1)
    assert foreign.granted == 0
    back = await ask_one(world, limit=10, needed=6, returned=4, returned_window=first.window)
    assert (back.granted, back.remaining) == (4, 0)
    # More than was ever lent makes no more of it.
    much = await ask_one(world, limit=10, needed=99, returned=99, returned_window=first.window)
    assert much.granted == 10


async def test_what_was_let_through_without_a_share_is_counted(world: World) -> None:
    assert (await ask_one(world, limit=10, owed=4)).remaining == 6
    over = await ask_one(world, limit=10, owed=40, needed=1)
    assert (over.granted, over.remaining) == (0, 0)
    fresh = await ask_one(world, subject="o:2", limit=10, owed=11, needed=1)
    assert (fresh.granted, fresh.remaining) == (0, 0)


async def test_another_limit_counts_at_once(world: World) -> None:
    await ask_one(world, limit=10, needed=5)
    assert (await ask_one(world, limit=2, needed=1)).granted == 0
    assert (await ask_one(world, limit=20, needed=20)).granted == 15


async def test_a_shorter_window_ends_sooner(world: World) -> None:
    await ask_one(world, limit=1, window_seconds=3600, needed=1)
    shorter = await ask_one(world, limit=1, window_seconds=10, needed=1)
    assert shorter.granted == 0
    assert shorter.left.ToTimedelta().total_seconds() <= 10


async def _end_all(world: World) -> None:
    await world.database.pool.execute("UPDATE rate_windows SET ends_at = now() - interval '1 s'")


async def test_a_window_that_ended_is_a_new_one(world: World) -> None:
    first = await ask_one(world, limit=2, needed=2)
    await _end_all(world)
    late = await ask_one(world, limit=2, needed=1, returned=2, returned_window=first.window)
    assert (late.granted, late.remaining) == (1, 1)
    assert late.window > first.window


async def test_windows_that_ended_are_forgotten(world: World) -> None:
    await ask_one(world, needed=1)
    await _end_all(world)
    await ask_one(world, subject="o:2", needed=1)
    await shares.forget_ended(world.database.pool)
    kept = await world.database.pool.fetch("SELECT subject FROM rate_windows")
    assert [row[0] for row in kept] == ["o:2"]


async def test_the_table_of_windows_is_not_logged(world: World) -> None:
    kind = "SELECT relpersistence::text FROM pg_class WHERE relname = 'rate_windows'"
    assert await world.database.pool.fetchval(kind) == "u"


async def test_many_at_once_are_lent_the_limit_exactly(world: World) -> None:
    """Batches of the same windows in opposite orders, with the forgetting among them: no deadlock, no unit lost."""
    subjects = [f"o:{n}" for n in range(20)]

    async def batch(turn: int) -> list[int]:
        order = subjects if turn % 2 else subjects[::-1]
        got = await ask(world, *(a_lease(s, limit=37, needed=1) for s in order))
        granted = [share.granted for share in got]
        return granted if turn % 2 else granted[::-1]

    async def forget() -> list[int]:
        await shares.forget_ended(world.database.pool)
        return [0] * len(subjects)

    answers = await asyncio.gather(*(batch(n) for n in range(60)), *(forget() for _ in range(10)))
    assert [sum(of_one) for of_one in zip(*answers, strict=True)] == [37] * len(subjects)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": 0},
        {"subject": ""},
        {"subject": "a\0b"},
        {"subject": "x" * 513},
        {"window_seconds": 0},
        {"window_seconds": 10**9},
        {"limit": -1},
        {"needed": -1},
        {"wanted": -1},
        {"returned": -1},
        {"owed": -1},
    ],
    ids=str,
)
async def test_a_lease_that_makes_no_sense_is_refused(world: World, fields: Any) -> None:
    assert await refusal(ask_one(world, **fields)) == INVALID


async def test_too_many_leases_and_twice_the_same_are_refused(world: World) -> None:
    assert await refusal(ask(world, *(a_lease(f"o:{n}") for n in range(201)))) == INVALID
    assert await refusal(ask(world, a_lease(), a_lease())) == INVALID
    assert await ask(world) == []
    large = await ask_one(world, limit=2**31 - 1, needed=2**31 - 1, owed=2**31 - 1, wanted=9)
    assert large.granted == 0


async def test_only_gateways_are_lent_shares(world: World) -> None:
    call = RateLimitServiceStub(world.channel).LeaseShares(
        pb.LeaseSharesRequest(), metadata=world.by("orgs")
    )
    assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "SERVICE_REFUSED")


async def test_an_organization_s_own_limits_come_with_its_callers(world: World) -> None:
    added, personal = await world.add_user()
    assert not (await world.authenticate(added.secret)).HasField("rate_limits")
    world.orgs.rate_limits[personal] = member_service_pb2.RateLimits(
        authenticated_rate_limit=2, sandbox_create_rate_limit_ttl_seconds=0
    )
    own = (await world.authenticate(added.secret)).rate_limits
    assert {field.name: value for field, value in own.ListFields()} == {
        "authenticated_limit": 2,
        "sandbox_create_seconds": 0,
    }
