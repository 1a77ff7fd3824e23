"""Two gateways, one auth, one PostgreSQL: together they let through what the limit says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from gateway.__main__ import gateway_of
from gateway.app import Gateway, create_app
from gateway.clients import Services, Targets
from gateway.settings import Settings
from tests.integration.auth.conftest import World

PATH = "/api/api-keys/current"


class Replica:
    """One gateway, and a client of it."""

    def __init__(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        self.gateway = gateway
        self._client = client

    async def ask(self, credential: str) -> int:
        headers = {"authorization": f"Bearer {credential}"}
        return (await self._client.get(PATH, headers=headers)).status_code

    async def served(self, credential: str, requests: int, at_once: int) -> int:
        """Send requests, so many at once; return how many were not refused as too many."""
        todo = iter(range(requests))

        async def some() -> int:
            return sum([await self.ask(credential) != 429 for _ in todo])

        return sum(await asyncio.gather(*(some() for _ in range(at_once))))


@asynccontextmanager
async def replica(world: World, **told: int) -> AsyncIterator[Replica]:
    fields = Settings.model_fields.items()
    usual = {name: info.default for name, info in fields if not info.is_required()}
    services = Services(Targets(world.target, world.target, world.target))
    settings = Settings.model_construct(**usual | told)
    gateway = gateway_of(settings, services, world.keyring.identity("gateway"))
    transport = httpx.ASGITransport(create_app(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield Replica(gateway, client)
    await services.close()


@asynccontextmanager
async def replicas(
    world: World, limit: int, kind: str = "authenticated"
) -> AsyncIterator[tuple[Replica, Replica]]:
    told = {f"{kind}_limit": limit, f"{kind}_ttl": 600}
    async with replica(world, **told) as one, replica(world, **told) as two:
        yield one, two


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 19])
async def test_a_small_limit_is_kept_exactly(world: World, limit: int) -> None:
    added, _ = await world.add_user()
    async with replicas(world, limit) as both:
        served = await asyncio.gather(*(r.served(added.secret, 60, 16) for r in both))
        assert sum(served) == limit
        # And by single requests that come here and there.
        other, _ = await world.add_user()
        found = [await both[n % 2].ask(other.secret) for n in range(limit + 2)]
        assert found == [200] * limit + [429] * 2


@pytest.mark.parametrize("limit", [40, 100, 600])
async def test_a_large_limit_is_kept_within_some_percent(world: World, limit: int) -> None:
    added, _ = await world.add_user()
    async with replicas(world, limit) as both:
        served = await asyncio.gather(*(r.served(added.secret, limit, 16) for r in both))
    assert limit * 0.9 <= sum(served) <= limit


@pytest.mark.parametrize("limit", [20, 40, 100, 600])
async def test_what_one_gateway_does_not_use_keeps_little_from_the_other(
    world: World, limit: int
) -> None:
    """A third is used up here in a hurry, so that much is lent in advance; then everything comes there."""
    added, _ = await world.add_user()
    async with replicas(world, limit) as (one, two):
        first = await one.served(added.secret, limit // 3, 8)
        rest = await two.served(added.secret, limit, 8)
        assert limit * 0.9 <= first + rest <= limit
        # What lies idle is given back, and then nothing at all is missing.
        await one.gateway.limits.close()
        async with asyncio.timeout(10):
            while first + rest < limit:
                rest += await two.served(added.secret, 8, 8)
        assert (first + rest, await two.ask(added.secret)) == (limit, 429)


async def test_failed_attempts_are_counted_together(world: World) -> None:
    async with replicas(world, 5, "failed_auth") as both:
        found = [await both[n % 2].ask(f"dtn_{n}") for n in range(8)]
        assert found == [401] * 4 + [429] * 4
        added, _ = await world.add_user()
        assert [await r.ask(added.secret) for r in both] == [200, 200]


async def test_each_window_allows_the_limit_anew(world: World) -> None:
    added, _ = await world.add_user()
    for _ in range(2):
        async with replicas(world, 3) as both:
            served = await asyncio.gather(*(r.served(added.secret, 10, 4) for r in both))
            assert sum(served) == 3
        await world.database.pool.execute("UPDATE rate_windows SET ends_at = now()")


async def test_an_emptied_table_begins_anew(world: World) -> None:
    """A crash of PostgreSQL empties the table: nobody is locked out, and what is lent from then on is counted."""
    added, _ = await world.add_user()
    async with replicas(world, 50) as (one, two):
        assert await one.served(added.secret, 30, 4) == 30
        await world.database.pool.execute("TRUNCATE rate_windows")
        assert await two.served(added.secret, 70, 4) == 50
