"""Shares on their way between the gateway and auth."""

import asyncio

import pytest

from chassis.errors import Kind, Refusal
from gateway.limits import leases
from tests.gateway_fakes import KEY, ORG, OTHER, OWNER, Fakes
from tests.integration.gateway.test_limits import clients, limits, statuses

PATH = "/api-keys/current"
AUTHENTICATED = 1


class Broken(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "BROKEN"


async def test_what_lies_idle_is_given_back(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_IDLE_SECONDS", 0.02)
    async with clients(fakes, **limits(authenticated=1_000)) as (gateway, client):
        running = asyncio.create_task(gateway.limits.run())
        assert await statuses(client, PATH, 3) == [200] * 3
        await fakes.rate_limits.calls.until(
            lambda _: any(lease.returned for lease in fakes.rate_limits.leases())
        )
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert fakes.rate_limits.lent[AUTHENTICATED, f"o:{ORG}"] == 3
        assert await statuses(client, PATH, 1) == [200]


async def test_subjects_that_are_forgotten_leave_nothing_behind(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.limits.shares.SUBJECTS", 1)
    async with clients(fakes, **limits(authenticated=1_000)) as (gateway, client):
        assert await statuses(client, PATH, 3) == [200] * 3
        other = {"authorization": f"Bearer {OWNER}", "X-Daytona-Organization-ID": OTHER}
        assert await statuses(client, "/snapshots", 1, headers=other) == [200]
        await gateway.limits.close()
        assert fakes.rate_limits.lent[AUTHENTICATED, f"o:{ORG}"] == 3
        # Who comes back is counted on, not anew.
        answer = await client.get(PATH)
        assert answer.headers["x-ratelimit-remaining-authenticated"] == "996"


async def test_nobody_waits_long_for_an_auth_that_does_not_answer(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_PATIENCE_SECONDS", 0.1)
    fakes.rate_limits.calls.holds["LeaseShares"] = asyncio.Event()
    async with clients(fakes, **limits(authenticated=3)) as (gateway, client):
        together = await asyncio.gather(*(client.get(PATH) for _ in range(5)))
        assert sorted(a.status_code for a in together) == [200] * 3 + [429] * 2
        asked = len(fakes.rate_limits.calls.names())
        # From now on nobody waits at all.
        assert await statuses(client, PATH, 5) == [429] * 5
        assert len(fakes.rate_limits.calls.names()) <= asked + 1
        await gateway.limits.close()


async def test_an_answer_that_nobody_foresaw_opens_too(fakes: Fakes) -> None:
    fakes.rate_limits.calls.refusals["LeaseShares"] = Broken("broken")
    async with clients(fakes, **limits(authenticated=2, failed_auth=2)) as (_, client):
        assert await statuses(client, PATH, 3) == [200, 200, 429]
        bad = {"authorization": "Bearer dtn_wrong"}
        assert await statuses(client, PATH, 2, headers=bad) == [401, 429]
        good = {"authorization": f"Bearer {KEY}"}
        assert await statuses(client, PATH, 1, headers=good) == [429]


async def test_many_subjects_are_asked_for_in_few_calls(fakes: Fakes) -> None:
    hold = fakes.rate_limits.calls.holds["LeaseShares"] = asyncio.Event()
    async with clients(fakes, **limits(authenticated=100)) as (gateway, client):
        mine = asyncio.create_task(client.get(PATH))
        await fakes.rate_limits.calls.until(lambda calls: calls.running == 1)
        other = {"authorization": f"Bearer {OWNER}", "X-Daytona-Organization-ID": OTHER}
        user = {"authorization": f"Bearer {OWNER}"}
        rest = [
            asyncio.create_task(client.get("/snapshots", headers=other)),
            asyncio.create_task(client.get("/users/me", headers=user)),
        ]
        async with asyncio.timeout(10):
            while len(gateway.limits._leases._queue) < 2:
                await asyncio.sleep(0)
        hold.set()
        assert [a.status_code for a in await asyncio.gather(mine, *rest)] == [200] * 3
    batches = [len(request.leases) for _, request, _ in fakes.rate_limits.calls.requests]
    assert batches[:2] == [1, 2]
