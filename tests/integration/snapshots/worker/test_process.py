"""The worker as a process: how it starts and ends, and that it may be killed at any moment."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.identities import Keyring
from tests.images import image
from tests.integration.snapshots.worker.house import House
from tests.integration.snapshots.worker.process import NotStarted, Office, an_office
from tests.integration.snapshots.worker.proxy import Wire
from tests.registry import Registry
from tests.soak import rounds

ROUNDS = rounds(5, 100)


@pytest.fixture
async def office(house: House, keyring: Keyring) -> AsyncIterator[Office]:
    async with an_office(house, keyring) as office:
        yield office


async def test_it_works_is_measured_and_ends_in_order(
    house: House, office: Office, wire: Wire, registry: Registry
) -> None:
    made = image(seed=61)
    registry.push("process", "1", made)
    listen = f"127.0.0.1:{_free_port()}"
    worker = await office.start(wire.host, SNAPSHOTS_WORKER_METRICS_LISTEN=listen)
    mine = house.organization()
    await mine.until(await mine.create(f"{wire.host}/process:1"), "active")
    await mine.until(await mine.create(f"{wire.host}/nothing:1"), "error")
    # The counters move just after the states.
    async with asyncio.timeout(10):
        while 'ratoon_pulls_total{code="IMAGE_NOT_FOUND"} 1.0' not in (said := _metrics(listen)):
            await asyncio.sleep(0.01)
    assert 'ratoon_pulls_total{code="OK"} 1.0' in said
    size = float(sum(len(layer.data) for layer in made.layers))
    assert f"ratoon_pull_bytes_total {size}" in said
    assert "ratoon_pulls_due 0.0" in said
    assert "ratoon_pull_seconds_count 2.0" in said
    assert await worker.terminate() == 0
    await house.check_at_rest()


async def test_the_store_is_for_nobody_else(office: Office, tmp_path: Path) -> None:
    worker = await office.start(SNAPSHOTS_STORE_PATH=str(tmp_path / "new" / "store"))
    assert (tmp_path / "new" / "store").stat().st_mode & 0o777 == 0o700
    assert await worker.terminate() == 0


async def test_told_to_end_it_gives_its_work_to_the_others_at_once(
    house: House, office: Office, wire: Wire, registry: Registry
) -> None:
    registry.push("handed", "1", image((8_000_000,), seed=62))
    wire.pace = 1_000_000
    leaving = await office.start(wire.host, SNAPSHOTS_WORKER_LEASE_SECONDS="60")
    mine = house.organization()
    snapshot = await mine.create(f"{wire.host}/handed:1")

    async def downloading() -> bool:
        return any(pull.bytes_done > 1_500_000 for pull in await house.pulls())

    await house.until(downloading)
    async with house.worker(wire.host):
        told = time.monotonic()
        assert await leaving.terminate() == 0
        assert time.monotonic() - told < 5
        wire.pace = 0
        await mine.until(snapshot, "active", seconds=5)
    await house.check_at_rest()


async def test_without_a_database_it_does_not_pretend(office: Office) -> None:
    with pytest.raises(NotStarted):
        await office.start(SNAPSHOTS_DATABASE_URL="postgresql://nobody@/none?host=/nowhere")


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_killed_at_any_moment(
    seed: int, house: House, office: Office, wire: Wire, registry: Registry
) -> None:
    chance = random.Random(seed)
    images = [image((900_000, 600_000, 300_000), seed=7000 + seed * 10 + n) for n in range(2)]
    for number, made in enumerate(images):
        registry.push(f"killed{seed}", str(number), made)
    wire.pace = 1_500_000
    mine, theirs = house.organization(), house.organization()
    names = [f"{wire.host}/killed{seed}:{number}" for number in range(2)]
    kept = [
        (mine, await mine.create(names[0])),
        (theirs, await theirs.create(names[chance.randrange(2)])),
    ]
    unwanted = await mine.create(names[1])
    for killing in range(chance.randint(1, 2)):
        worker = await office.start(wire.host)
        await asyncio.sleep(chance.uniform(0, 1.5))
        if killing == 0:
            await mine.delete(unwanted)
            await asyncio.sleep(chance.uniform(0, 0.2))
        await worker.kill()
        await house.check()
    wire.pace = 0
    worker = await office.start(wire.host)
    for organization, snapshot in kept:
        await organization.until(snapshot, "active")
    await mine.until(unwanted, "gone")
    await house.until(lambda: _nothing_to_do(house))
    assert await worker.terminate() == 0
    await house.check_at_rest()


async def _nothing_to_do(house: House) -> bool:
    return await house.pulls() == []


def _metrics(listen: str) -> str:
    with urlopen(f"http://{listen}/metrics", timeout=5) as answer:
        said: str = answer.read().decode()
    return said


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
