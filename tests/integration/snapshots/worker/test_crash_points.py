"""Whoever falls, wherever it stands: the work goes on where it was, and nothing is counted, told or kept twice.

Each state of a pull, each blob on its way, each commit: a worker is held there and killed, or PostgreSQL is.
"""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from tests.identities import Keyring
from tests.images import image
from tests.integration.snapshots.worker.brake import Point, braked
from tests.integration.snapshots.worker.conftest import Fragile
from tests.integration.snapshots.worker.house import House, Organization
from tests.integration.snapshots.worker.process import Office, an_office
from tests.integration.snapshots.worker.proxy import Wire
from tests.registry import Registry

WORKER = "snapshots worker"
LAYERS = (90_000, 60_000, 30_000)
# pending, pulling with nothing and with something there, storing, failing.
COMING = {
    "it is claimed": Point("UPDATE", "pulls", "NEW.running AND NOT OLD.running"),
    "its room is kept": Point("INSERT", "blobs"),
    "a blob is there": Point("UPDATE", "pull_blobs", "NEW.fetched"),
    "it is stored": Point("INSERT", "artifacts"),
}
FAILING = {"it fails": Point("UPDATE", "snapshots", "NEW.state = 'error'")}
LEAVING = {
    "it is removed": Point("DELETE", "snapshots"),
    "its bytes are unlinked": Point("DELETE", "blobs"),
}
PARTS = ["manifest", "config", "layer 0", "layer 1", "layer 2"]


@pytest.fixture
async def office(house: House, keyring: Keyring) -> AsyncIterator[Office]:
    async with an_office(house, keyring) as office:
        yield office


@pytest.mark.parametrize("part", PARTS)
async def test_a_worker_is_killed_while_a_part_is_on_its_way(
    house: House, office: Office, wire: Wire, registry: Registry, part: str
) -> None:
    made = image(LAYERS, seed=310)
    registry.push("parts", "1", made)
    digests = [f"/blobs/{blob.digest}" for blob in (made.config, *made.layers)]
    wire.stop_at = dict(zip(PARTS, ["/manifests/", *digests], strict=True))[part]
    wire.open.clear()
    mine = house.organization()
    snapshot = await mine.create(f"{wire.host}/parts:1")
    worker = await office.start(wire.host)
    async with asyncio.timeout(20):
        await wire.held.wait()
    assert await mine.state(snapshot) == "pulling"
    await worker.kill()
    await house.check()
    wire.open.set()
    await _goes_on(house, wire, mine, snapshot, "active")


@pytest.mark.parametrize("arrives", [True, False], ids=["it arrives", "it is lost"])
@pytest.mark.parametrize("where", [*COMING, *FAILING, *LEAVING])
async def test_a_worker_is_killed_at_a_commit(
    house: House, office: Office, wire: Wire, registry: Registry, where: str, arrives: bool
) -> None:
    mine, point = house.organization(), {**COMING, **FAILING, **LEAVING}[where]
    snapshot, end = await _about_to(house, wire, registry, mine, where)
    async with braked(house.url, point, WORKER) as brake:
        worker = await office.start(wire.host)
        await brake.reached()
        await worker.kill()
        if not arrives:
            await brake.lose()
    await house.check()
    await _goes_on(house, wire, mine, snapshot, end)


@pytest.mark.parametrize("where", [*COMING, *FAILING, *LEAVING])
async def test_the_database_crashes_at_a_commit(
    fragile: Fragile, wire: Wire, registry: Registry, where: str
) -> None:
    cluster, house = fragile
    mine, point = house.organization(), {**COMING, **FAILING, **LEAVING}[where]
    snapshot, end = await _about_to(house, wire, registry, mine, where)
    async with braked(house.url, point, "test") as brake, house.worker(wire.host):
        await brake.reached()
        cluster.crash()
        cluster.start()
        await cluster.admin("SELECT 1")
        await mine.until(snapshot, end)
    await _goes_on(house, wire, mine, snapshot, end)


async def _about_to(
    house: House, wire: Wire, registry: Registry, mine: Organization, where: str
) -> tuple[UUID, str]:
    """Ask for what leads there; return the snapshot, and how it is to end."""
    registry.push("points", "1", image(LAYERS, seed=311))
    if where in FAILING:
        return await mine.create(f"{wire.host}/points:nothing"), "error"
    snapshot = await mine.create(f"{wire.host}/points:1")
    if where in COMING:
        return snapshot, "active"
    async with house.worker(wire.host):
        await mine.until(snapshot, "active")
    await mine.delete(snapshot)
    return snapshot, "gone"


async def _goes_on(house: House, wire: Wire, mine: Organization, snapshot: UUID, end: str) -> None:
    """Let another worker do the rest, and hold everything against the truth."""
    async with house.worker(wire.host):
        await mine.until(snapshot, end)
        await house.until(lambda: _nothing_to_do(house))
    told = await house.rows(
        "SELECT type, payload->>'old_state' AS old, payload->>'new_state' AS new FROM outbox"
        " WHERE type LIKE 'snapshot_%' ORDER BY xid, id"
    )
    moves = [(row.old, row.new) for row in told if row.type == "snapshot_state_changed"]
    assert moves == _STORY[end]
    assert [row.type for row in told].count("snapshot_removed") == (end == "gone")
    await house.check_at_rest()


_COME = [("pending", "pulling"), ("pulling", "active")]
_STORY = {
    "active": _COME,
    "error": [("pending", "pulling"), ("pulling", "error")],
    "gone": [*_COME, ("active", "removing")],
}


async def _nothing_to_do(house: House) -> bool:
    return not await house.pulls() and not await house.rows("SELECT digest FROM garbage")
