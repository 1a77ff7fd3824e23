"""The audit finds every kind of lie, and none in what is true."""

import asyncio
from collections.abc import Callable

import pytest

from services.snapshots.queries.audit import QUESTIONS
from services.snapshots.worker.audit import Audit, Discrepancy
from tests.images import image
from tests.integration.snapshots.worker.house import House, Organization
from tests.integration.snapshots.worker.proxy import Wire
from tests.registry import Registry

# How rows come to lie about `mine`, who has one active snapshot; by the question whose answer shows it.
LIES = {
    "usage": "UPDATE usage SET used = 0 WHERE organization_id = :mine",
    "active without its artifact": "UPDATE artifacts SET stored = false WHERE organization_id = :mine",
    "reference of another artifact": "UPDATE snapshots SET ref = 'x@sha256:0' WHERE organization_id = :mine",
    "artifact of another organization": "UPDATE artifacts SET organization_id = gen_random_uuid() WHERE organization_id = :mine",
    "waiting for nothing": "UPDATE snapshots SET state = 'pending' WHERE organization_id = :mine",
    "work after the end": "WITH work AS (INSERT INTO pulls (id, organization_id, image_ref) VALUES (gen_random_uuid(), :mine, 'x:1')"
    " RETURNING id) UPDATE snapshots SET pull_id = (SELECT id FROM work) WHERE organization_id = :mine",
    "work for nobody": "INSERT INTO pulls (id, organization_id, image_ref, due_at) VALUES (gen_random_uuid(), :mine, 'x:1', 'infinity')",
    "failure without a reason": "UPDATE snapshots SET state = 'error' WHERE organization_id = :mine",
    "artifact that nothing refers to": "UPDATE snapshots SET artifact_id = NULL WHERE organization_id = :mine",
    "stored artifact without blobs": "DELETE FROM artifact_blobs USING artifacts AS a"
    " WHERE a.id = artifact_id AND a.organization_id = :mine",
    "blob that nothing refers to": "INSERT INTO blobs (digest, size) SELECT 'sha256:' || repeat('0', 64), 1 WHERE CAST(:mine AS uuid) IS NOT NULL",
}


@pytest.fixture
async def mine(house: House, wire: Wire, registry: Registry) -> Organization:
    made = image(seed=71)
    registry.push("audited", "1", made)
    organization = house.organization()
    async with house.worker(wire.host):
        await organization.until(await organization.create(f"{wire.host}/audited:1"), "active")
    return organization


async def found(house: House, *, every_byte: bool = False) -> list[Discrepancy]:
    return await Audit(house.database.sessions, house.store).run(every_byte=every_byte)


def test_there_is_a_lie_for_every_question() -> None:
    assert set(LIES) == set(QUESTIONS)


async def test_the_truth_is_not_reported(house: House, mine: Organization) -> None:
    assert await found(house, every_byte=True) == []


@pytest.mark.parametrize("question", LIES)
async def test_a_lying_row_is_found(house: House, mine: Organization, question: str) -> None:
    await house.rows(f"{LIES[question]} RETURNING 1", mine=mine.id)
    assert question in {one.question for one in await found(house)}


def _unlink(house: House, digest: str) -> None:
    house.root.joinpath("blobs", "sha256", digest.removeprefix("sha256:")).unlink()


def _cut(house: House, digest: str) -> None:
    path = house.root.joinpath("blobs", "sha256", digest.removeprefix("sha256:"))
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1])


def _flip(house: House, digest: str) -> None:
    path = house.root.joinpath("blobs", "sha256", digest.removeprefix("sha256:"))
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


@pytest.mark.parametrize(
    ("harm", "said"),
    [(_unlink, "not in the store"), (_cut, "bytes instead of"), (_flip, "are damaged")],
)
async def test_harm_at_the_disk_is_found(
    house: House, mine: Organization, harm: Callable[[House, str], None], said: str
) -> None:
    digest = max(house.files())
    harm(house, digest)
    [one] = await found(house, every_byte=True)
    assert (one.question, one.about) == ("blob that is needed", digest)
    assert said in one.wrong


async def test_a_file_that_no_row_knows_is_found(house: House, mine: Organization) -> None:
    stray = "sha256:" + "a" * 64
    house.root.joinpath("blobs", "sha256", "a" * 64).write_bytes(b"x")
    assert [one.about for one in await found(house)] == [stray]


async def test_what_is_only_under_way_is_no_discrepancy(
    house: House, wire: Wire, registry: Registry
) -> None:
    """Snapshots come and go all the time, and the audit looks as often as it can."""
    for number in range(4):
        registry.push("coming", str(number), image((300_000, 200_000), seed=720 + number))
    organization = house.organization()

    async def come_and_go(number: int) -> None:
        for _ in range(3):
            snapshot = await organization.create(f"{wire.host}/coming:{number}")
            await organization.until(snapshot, "active")
            await organization.delete(snapshot)
            await organization.until(snapshot, "gone")

    async with house.worker(wire.host):
        going = asyncio.gather(*map(come_and_go, range(4)))
        looks = 0
        while not going.done():
            assert await found(house) == []
            looks += 1
        await going
    assert looks > 3
