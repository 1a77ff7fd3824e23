"""Versions with real bytes: they come, they are kept, they go, and they come again by digest."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from services.snapshots.worker.policy import Policy
from tests.identities import Keyring
from tests.images import Image, image
from tests.integration.snapshots.worker.house import House, Organization
from tests.integration.snapshots.worker.process import Office, an_office
from tests.integration.snapshots.worker.proxy import Wire
from tests.registry import Registry
from tests.soak import rounds

FEW = Policy(
    lease=3.0, deadline=60.0, attempts=3, first_delay=0.02, longest_delay=0.05, versions_kept=2
)


@pytest.fixture
async def office(house: House, keyring: Keyring) -> AsyncIterator[Office]:
    async with an_office(house, keyring) as office:
        yield office


def _digests(made: Image) -> set[str]:
    return {made.manifest.digest, *(blob.digest for blob in made.blobs)}


async def _next(mine: Organization, snapshot: UUID, image_ref: str, number: int) -> None:
    await mine.set_image(snapshot, image_ref)
    await mine.until_version(snapshot, number)


async def test_the_newest_versions_keep_their_bytes_and_older_ones_come_again_by_digest(
    house: House, wire: Wire, registry: Registry
) -> None:
    images = [image(seed=seed) for seed in (71, 72, 73)]
    mine, name = house.organization(), f"{wire.host}/moving"
    async with house.worker(wire.host, policy=FEW):
        digest = registry.push("moving", "1", images[0])
        snapshot = await mine.create(f"{name}:1")
        await mine.until(snapshot, "active")
        # The same tag names something else every time.
        for number, made in enumerate(images[1:], 2):
            registry.push("moving", "1", made)
            await _next(mine, snapshot, f"{name}:1", number)
            assert (await mine.until_version(snapshot, number)).state == "active"

        async def trimmed() -> bool:
            return not house.files() & _digests(images[0]) - _digests(images[1])

        await house.until(trimmed)
        assert house.files() >= _digests(images[1]) | _digests(images[2])
        await mine.roll_back(snapshot, 2)
        wire.asked.clear()
        await mine.roll_back(snapshot, 1)
        row = await mine.until_version(snapshot, 1)
        assert row.ref == f"{name}@{digest}"
        assert wire.blobs_asked()
        await mine.delete(snapshot)
        await mine.until(snapshot, "gone")

        async def empty() -> bool:
            return not house.files()

        await house.until(empty)
    await house.check_at_rest()


async def test_a_version_under_way_ends_with_its_snapshots_use(
    house: House, wire: Wire, registry: Registry
) -> None:
    old, new = image(seed=74), image((2_000_000,), seed=75)
    registry.push("ending", "1", old)
    registry.push("ending", "2", new)
    mine = house.organization()
    async with house.worker(wire.host):
        snapshot = await mine.create(f"{wire.host}/ending:1")
        await mine.until(snapshot, "active")
        wire.pace = 500_000
        await mine.set_image(snapshot, f"{wire.host}/ending:2")

        async def downloading() -> bool:
            return any(pull.bytes_done for pull in await house.pulls())

        await house.until(downloading)
        await mine.deactivate(snapshot)
        wire.pace = 0
        assert await house.pulls() == []
        await mine.activate(snapshot)
        assert await mine.state(snapshot) == "active"

        async def only_the_old() -> bool:
            return house.files() == _digests(old)

        await house.until(only_the_old)
    await house.check_at_rest()


async def test_a_worker_may_be_killed_while_a_version_comes(
    house: House, office: Office, wire: Wire, registry: Registry
) -> None:
    mine = house.organization()
    registry.push("killed", "0", image(seed=80))
    worker = await office.start(wire.host)
    snapshot = await mine.create(f"{wire.host}/killed:0")
    row = await mine.until(snapshot, "active")
    for n in range(1, rounds(2, 50) + 1):
        registry.push("killed", str(n), image((400_000,), seed=80 + n))
        wire.pace = 400_000
        await mine.set_image(snapshot, f"{wire.host}/killed:{n}")

        async def downloading() -> bool:
            return any(pull.bytes_done for pull in await house.pulls())

        await house.until(downloading)
        await worker.kill()
        wire.pace = 0
        now = (await house.rows("SELECT * FROM snapshots WHERE id = :id", id=snapshot))[0]
        assert (now.state, now.ref) == ("active", row.ref)
        await house.check()
        worker = await office.start(wire.host)
        row = await mine.until_version(snapshot, n + 1, seconds=40)
    assert await worker.terminate() == 0
    await house.check_at_rest()
