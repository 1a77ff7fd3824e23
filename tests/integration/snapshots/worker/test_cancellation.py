"""Nobody wants it any more: it stops soon, and nothing of it stays."""

import time
from dataclasses import replace
from uuid import UUID

import pytest

from tests.images import image
from tests.integration.snapshots.worker.house import QUICK, House, Organization, idle
from tests.integration.snapshots.worker.proxy import Wire
from tests.registry import Registry


async def _on_its_way(house: House, wire: Wire, mine: Organization, name: str) -> UUID:
    wire.pace = 4_000_000
    snapshot = await mine.create(f"{wire.host}/{name}:1")

    async def downloading() -> bool:
        return any(pull.bytes_done > 2_500_000 for pull in await house.pulls())

    await house.until(downloading)
    return snapshot


@pytest.mark.parametrize("how", ["delete", "deactivate"])
async def test_who_wanted_it_leaves(house: House, wire: Wire, registry: Registry, how: str) -> None:
    registry.push("big", "1", image((8_000_000,), seed=51))
    mine = house.organization()
    async with house.worker(wire.host):
        snapshot = await _on_its_way(house, wire, mine, "big")
        await getattr(mine, how)(snapshot)
        left = time.monotonic()
        await idle(house)
        assert time.monotonic() - left < 1.5
        await mine.until(snapshot, "gone" if how == "delete" else "inactive")
        await house.check_at_rest()
        assert house.files() == set()
        # What came can still be resumed, until it is stale.
        assert sum(house.partials().values()) > 0


async def test_a_download_that_stands_still_is_cancelled_as_soon(
    house: House, wire: Wire, registry: Registry
) -> None:
    registry.push("still", "1", image(seed=54))
    mine = house.organization()
    wire.open.clear()
    async with house.worker(wire.host, registry.host, places=1, policy=replace(QUICK, lease=60.0)):
        snapshot = await mine.create(f"{wire.host}/still:1")
        await mine.until(snapshot, "pulling")
        await wire.held.wait()
        await mine.deactivate(snapshot)
        left = time.monotonic()
        # The only place is free again.
        await mine.until(await mine.create(f"{registry.host}/still:2"), "error", seconds=2)
        assert time.monotonic() - left < 1.5
    assert await mine.state(snapshot) == "inactive"
    await house.check_at_rest()


async def test_others_who_want_it_keep_it(house: House, wire: Wire, registry: Registry) -> None:
    registry.push("shared", "1", image((8_000_000,), seed=52))
    mine = house.organization()
    async with house.worker(wire.host):
        first = await mine.create(f"{wire.host}/shared:1")
        second = await _on_its_way(house, wire, mine, "shared")
        await mine.delete(first)
        wire.pace = 0
        await mine.until(second, "active")
        await house.check_at_rest()


async def test_asked_for_again_it_goes_on_where_it_was(
    house: House, wire: Wire, registry: Registry
) -> None:
    made = image((8_000_000,), seed=53)
    registry.push("again", "1", made)
    mine = house.organization()
    async with house.worker(wire.host):
        snapshot = await _on_its_way(house, wire, mine, "again")
        await mine.delete(snapshot)
        await idle(house)
        wire.pace, wire.carried = 0, 0
        await mine.until(await mine.create(f"{wire.host}/again:1"), "active")
        assert wire.carried < made.size - 1_000_000
        await house.check_at_rest()
