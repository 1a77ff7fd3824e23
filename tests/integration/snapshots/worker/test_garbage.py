"""The store keeps to the rows, whatever happened to either."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from services.snapshots.commands import lifecycle, removals
from services.snapshots.store.digests import digest_of
from services.snapshots.store.layout import OciLayoutStore
from services.snapshots.worker.garbage import Garbage
from tests.images import image
from tests.integration.snapshots.worker.house import LIMITS, House
from tests.integration.snapshots.worker.proxy import Wire
from tests.registry import Registry


async def test_what_is_deleted_goes_but_not_what_others_need(
    house: House, registry: Registry
) -> None:
    one = image((50_000, 60_000), seed=81)
    two = image((50_000, 60_000), seed=81, config={"Cmd": ["/bin/two"]})
    registry.push("keep", "1", one)
    registry.push("keep", "2", two)
    mine, theirs = house.organization(), house.organization()
    async with house.worker(registry.host):
        first = await mine.create(f"{registry.host}/keep:1")
        second = await mine.create(f"{registry.host}/keep:2")
        other = await theirs.create(f"{registry.host}/keep:1")
        for organization, snapshot in ((mine, first), (mine, second), (theirs, other)):
            await organization.until(snapshot, "active")
        await mine.delete(first)
        await mine.until(first, "gone")
        await house.check_at_rest()
        await theirs.delete(other)
        await theirs.until(other, "gone")
        await house.check_at_rest()
        assert house.files() == {two.manifest.digest, *(blob.digest for blob in two.blobs)}
        await mine.delete(second)
        await mine.until(second, "gone")
        await house.check_at_rest()
        assert house.files() == set()
    removed = await house.rows("SELECT 1 FROM outbox WHERE type = 'snapshot_removed'")
    assert len(removed) == 3


async def test_what_is_collected_in_the_moment_in_which_it_is_let_go_is_not_forgotten(
    house: House, registry: Registry
) -> None:
    """The note is there already, as after every pull; whoever looks still finds the bytes needed."""
    registry.push("late", "1", image((50_000,), seed=82))
    mine = house.organization()
    async with house.worker(registry.host):
        snapshot = await mine.create(f"{registry.host}/late:1")
        await mine.until(snapshot, "active")
    await house.rows(
        "INSERT INTO garbage SELECT digest FROM blobs ON CONFLICT DO NOTHING RETURNING digest"
    )
    await mine.delete(snapshot)
    async with house.database.sessions.begin() as session:
        assert await removals.erase(session) == 1
        async with asyncio.timeout(10):
            await Garbage(house.database.sessions, house.store).collect()
        assert house.files()
    await Garbage(house.database.sessions, house.store).collect()
    assert house.files() == set()


async def test_a_file_that_no_row_knows_is_deleted(house: House) -> None:
    await house.store.put_bytes(digest_of(b"stray"), b"stray")
    await house.check_at_rest()
    assert house.files() == set()


async def test_a_row_that_nothing_refers_to_is_deleted_with_its_file(house: House) -> None:
    digest = digest_of(b"forgotten")
    await house.store.put_bytes(digest, b"forgotten")
    await house.rows("INSERT INTO blobs VALUES (:digest, 9) RETURNING digest", digest=digest)
    await house.check_at_rest()
    assert house.files() == set()


class SlowStore(OciLayoutStore):
    """Removes when it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: list[str] = []
        self.all, self.go = asyncio.Event(), asyncio.Event()

    async def remove(self, digest: str) -> None:
        self.asked.append(digest)
        if len(self.asked) == 3:
            self.all.set()
        await self.go.wait()
        await super().remove(digest)


async def test_blobs_are_unlinked_together_and_never_after_the_transaction(house: House) -> None:
    store = SlowStore(house.root)
    blobs = {digest_of(data): data for data in (b"one", b"two", b"three")}
    for digest, data in blobs.items():
        await store.put_bytes(digest, data)
        await house.rows("INSERT INTO blobs VALUES (:d, 1) RETURNING digest", d=digest)
        await house.rows("INSERT INTO garbage VALUES (:d) RETURNING digest", d=digest)
    collecting = asyncio.create_task(Garbage(house.database.sessions, store).collect())
    await store.all.wait()
    collecting.cancel()
    # Told to end, it keeps the locks for as long as a file may still go.
    locks = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
    assert len(await house.rows(locks)) >= 3
    assert not collecting.done()
    store.go.set()
    with pytest.raises(asyncio.CancelledError):
        await collecting
    assert sorted(store.asked) == sorted(blobs)
    assert house.files() == set()
    assert len(await house.rows("SELECT digest FROM blobs")) == 3
    await house.check_at_rest()


@pytest.mark.parametrize("damage", ["gone", "cut"])
async def test_what_is_lost_is_active_no_longer(
    house: House, registry: Registry, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = image((50_000,), seed=82)
    registry.push("lost", "1", made)
    mine, theirs = house.organization(), house.organization()
    async with house.worker(registry.host):
        snapshots = [
            (organization, await organization.create(f"{registry.host}/lost:1"))
            for organization in (mine, theirs)
        ]
        for organization, snapshot in snapshots:
            await organization.until(snapshot, "active")
        file = house.root / "blobs" / "sha256" / made.layers[0].digest.removeprefix("sha256:")
        if damage == "gone":
            file.unlink()
        else:
            file.chmod(0o600)
            os.truncate(file, 10)
        await house.garbage.sweep()
        for organization, snapshot in snapshots:
            assert await organization.state(snapshot) == "inactive"
        await house.check()
        assert any("missing or damaged" in record.message for record in caplog.records)
        for organization, snapshot in snapshots:
            await organization.activate(snapshot)
            await organization.until(snapshot, "active")
        await house.check_at_rest()


async def test_what_comes_back_in_the_moment_of_the_loss_is_not_active_either(
    house: House, registry: Registry
) -> None:
    made = image((50_000,), seed=83)
    registry.push("lost", "2", made)
    mine = house.organization()
    async with house.worker(registry.host):
        snapshot, other = [await mine.create(f"{registry.host}/lost:2") for _ in range(2)]
        for each in (snapshot, other):
            await mine.until(each, "active")
    await mine.deactivate(snapshot)
    digest = made.layers[0].digest
    (house.root / "blobs" / "sha256" / digest.removeprefix("sha256:")).unlink()
    async with house.database.sessions.begin() as coming:
        await lifecycle.activate(coming, mine.id, str(snapshot), LIMITS, time.time(), no_builder="")
        sweep = asyncio.create_task(house.garbage.sweep())
        await house.until(lambda: _waits_for_a_lock(house))
    await sweep
    for each in (snapshot, other):
        assert await mine.state(each) == "inactive"
    await house.check()


async def _waits_for_a_lock(house: House) -> bool:
    waiting = await house.rows(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(waiting)


async def test_stale_downloads_are_swept_and_fresh_ones_kept(house: House) -> None:
    stale, fresh = (house.root / "partial" / f"org.{letter * 64}" for letter in "ab")
    for path in (stale, fresh):
        path.write_bytes(b"half")
    long_ago = time.time() - 2 * 86_400
    os.utime(stale, (long_ago, long_ago))
    await house.garbage.sweep()
    assert house.partials() == {fresh.name: 4}


async def test_sweeping_never_touches_what_is_on_its_way(
    house: House, wire: Wire, registry: Registry
) -> None:
    images = [image((700_000, 200_000), seed=250 + n) for n in range(4)]
    for number, made in enumerate(images):
        registry.push("busy", str(number), made)
    wire.pace = 1_000_000
    mine, theirs = house.organization(), house.organization()
    stop = asyncio.Event()

    async def sweeping() -> int:
        sweeps = 0
        while not stop.is_set():
            await house.garbage.sweep()
            sweeps += 1
        return sweeps

    sweeper = asyncio.create_task(sweeping())
    async with house.worker(wire.host):
        snapshots = []
        for number in range(4):
            for organization in (mine, theirs):
                snapshot = await organization.create(f"{wire.host}/busy:{number}")
                snapshots.append((organization, snapshot))
        gone = snapshots[::3]
        for organization, snapshot in gone:
            await organization.delete(snapshot)
        for organization, snapshot in snapshots:
            await organization.until(snapshot, "active", "gone")
        stop.set()
        assert await sweeper > 3
        for organization, snapshot in gone:
            assert await organization.state(snapshot) == "gone"
    await house.check_at_rest()
