"""The database goes away, or another worker takes over."""

import asyncio
import time
from dataclasses import replace

from tests.identities import Keyring
from tests.images import image
from tests.integration.snapshots.worker.conftest import Fragile
from tests.integration.snapshots.worker.house import QUICK, House, idle
from tests.integration.snapshots.worker.process import an_office
from tests.integration.snapshots.worker.proxy import Wire
from tests.registry import Registry

SLOW = 2_000_000


async def _downloading(house: House) -> None:
    async def far() -> bool:
        return any(pull.bytes_done > 500_000 for pull in await house.pulls())

    await house.until(far)


async def test_every_connection_is_cut(house: House, wire: Wire, registry: Registry) -> None:
    registry.push("cut", "1", image((6_000_000,), seed=71))
    wire.pace = SLOW
    mine = house.organization()
    async with house.worker(wire.host):
        snapshot = await mine.create(f"{wire.host}/cut:1")
        await _downloading(house)
        await house.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await _downloading(house)
        assert (await house.pulls())[0].attempt == 1
        wire.pace = 0
        await mine.until(snapshot, "active")
        # And the worker still hears of new work at once.
        registry.push("cut", "2", image(seed=72))
        await mine.until(await mine.create(f"{wire.host}/cut:2"), "active", seconds=5)
    await house.check_at_rest()


async def test_the_database_crashes_and_comes_back(
    fragile: Fragile, wire: Wire, registry: Registry
) -> None:
    cluster, house = fragile
    made = image((6_000_000, 500_000), seed=73)
    registry.push("crash", "1", made)
    wire.pace = SLOW
    mine = house.organization()
    async with house.worker(wire.host):
        snapshot = await mine.create(f"{wire.host}/crash:1")
        await _downloading(house)
        cluster.crash()
        # The bytes go on coming, and some blobs are whole before there is anybody to tell.
        wire.pace = 0

        async def whole() -> bool:
            return {layer.digest for layer in made.layers} <= house.files()

        async with asyncio.timeout(20):
            while not await whole():
                await asyncio.sleep(0.01)
        cluster.start()
        await cluster.admin("SELECT 1")
        await mine.until(snapshot, "active")
        await house.check()
    await house.check_at_rest()
    # Nothing came twice.
    assert sorted(wire.blobs_asked()) == sorted(blob.digest for blob in made.blobs)


async def test_told_to_end_while_the_database_is_away_it_ends(
    fragile: Fragile, keyring: Keyring, wire: Wire, registry: Registry
) -> None:
    cluster, house = fragile
    registry.push("away", "1", image((3_000_000,), seed=75))
    wire.pace = SLOW
    async with an_office(house, keyring) as office:
        worker = await office.start(wire.host)
        await house.organization().create(f"{wire.host}/away:1")
        await _downloading(house)
        cluster.crash()
        told = time.monotonic()
        assert await worker.terminate() == 0
        assert time.monotonic() - told < 5
    cluster.start()
    await cluster.admin("SELECT 1")


async def test_who_lost_the_lease_does_not_write(
    house: House, wire: Wire, registry: Registry
) -> None:
    registry.push("lost", "1", image((3_000_000,), seed=74))
    wire.pace = SLOW
    mine = house.organization()
    async with house.worker(wire.host):
        snapshot = await mine.create(f"{wire.host}/lost:1")
        await _downloading(house)
        await house.rows(
            "UPDATE pulls SET worker = 'another', attempt = attempt + 1,"
            " due_at = now() + interval '1 hour' RETURNING id"
        )
        await idle(house)
        pull = (await house.pulls())[0]
        assert (pull.worker, pull.attempt) == ("another", 2)
        assert await mine.state(snapshot) == "pulling"
        # The other one dies.
        wire.pace = 0
        await house.rows("UPDATE pulls SET due_at = now() RETURNING pg_notify('work', '')")
        await mine.until(snapshot, "active")
    await house.check_at_rest()


async def test_several_workers_never_do_a_job_twice(
    house: House, wire: Wire, registry: Registry
) -> None:
    images = [image((30_000, 10_000), seed=200 + n) for n in range(12)]
    for number, made in enumerate(images):
        registry.push("many", str(number), made)
    mine = house.organization()
    policy = replace(QUICK, lease=30)
    async with (
        house.worker(wire.host, places=2, policy=policy),
        house.worker(wire.host, places=2, policy=policy),
        house.worker(wire.host, places=2, policy=policy),
    ):
        snapshots = [await mine.create(f"{wire.host}/many:{n}") for n in range(12)]
        for snapshot in snapshots:
            await mine.until(snapshot, "active")
    asked = sorted(blob.digest for made in images for blob in made.blobs)
    assert sorted(wire.blobs_asked()) == asked
    await house.check_at_rest()


async def test_no_more_pulls_run_than_there_are_places(
    house: House, wire: Wire, registry: Registry
) -> None:
    for number in range(4):
        registry.push("places", str(number), image((20_000,), seed=260 + number))
    wire.open.clear()
    organizations = [house.organization() for _ in range(4)]
    asked = [
        (organization, await organization.create(f"{wire.host}/places:{number}"))
        for number, organization in enumerate(organizations)
    ]
    async with house.worker(wire.host, places=1):
        await wire.held.wait()
        # Nothing tells that nothing happens: time enough for one too many to be claimed.
        await asyncio.sleep(0.3)
        assert [pull.running for pull in await house.pulls()].count(True) == 1
        wire.open.set()
        for organization, snapshot in asked:
            await organization.until(snapshot, "active")
    await house.check_at_rest()


async def test_one_organization_leaves_a_place_to_the_others(
    house: House, wire: Wire, registry: Registry
) -> None:
    for number in range(3):
        registry.push("flood", str(number), image((50_000,), seed=230 + number))
    registry.push("flood", "other", image((50_000,), seed=240))
    wire.open.clear()
    mine, theirs = house.organization(), house.organization()
    async with house.worker(wire.host, places=2):
        flood = [await mine.create(f"{wire.host}/flood:{n}") for n in range(3)]
        other = await theirs.create(f"{wire.host}/flood:other")
        await theirs.until(other, "pulling")
        assert sorted([await mine.state(each) for each in flood]) == ["pending"] * 2 + ["pulling"]
        wire.open.set()
        for each in flood:
            await mine.until(each, "active")
        await theirs.until(other, "active")
    await house.check_at_rest()
