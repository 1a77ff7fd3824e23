"""Many pieces of work in the queue, and few who do them: each once, and no organization waits for another's queue."""

import asyncio
from collections import Counter
from uuid import UUID, uuid4

import pytest

from services.snapshots.commands import pulls
from services.snapshots.domain import Failure
from tests.integration.snapshots.world import LEASE, PATIENCE, World

WORKERS, SHARE = 4, 3
FLOOD, SMALL, EACH = 900, 10, 10


async def queue(world: World, organization: UUID, count: int) -> None:
    await world.database.pool.execute(
        "INSERT INTO pulls (id, organization_id, image_ref) SELECT gen_random_uuid(), $1, 'x:' || n"
        " FROM generate_series(1, $2::int) AS n",
        organization,
        count,
    )


async def work(world: World, name: str, done: list[tuple[UUID, UUID]]) -> None:
    """Do what there is, one after the other, and note what was done for whom."""
    failure = Failure("IMAGE_NOT_FOUND", "cause", "remedy")
    while True:
        async with world.database.sessions.begin() as session:
            claim = await pulls.claim_pull(
                session, name, lease=LEASE, patience=PATIENCE, share=SHARE
            )
        if claim is None:
            return
        done.append((claim.organization_id, claim.pull_id))
        async with world.database.sessions.begin() as session:
            assert await pulls.fail_pull(session, claim, failure)


async def test_a_flood_of_one_is_nobody_elses_wait(world: World) -> None:
    flooding, others = uuid4(), [uuid4() for _ in range(SMALL)]
    await queue(world, flooding, FLOOD)
    for other in others:
        await queue(world, other, EACH)
    done: list[tuple[UUID, UUID]] = []
    await asyncio.gather(*(work(world, f"w{n}", done) for n in range(WORKERS)))
    # At the very end one may have looked while the others held the last of them.
    await work(world, "w", done)
    assert len({pull for _, pull in done}) == len(done) == FLOOD + SMALL * EACH
    assert Counter(who for who, _ in done) == {flooding: FLOOD, **dict.fromkeys(others, EACH)}
    last = max(place for place, (who, _) in enumerate(done) if who != flooding)
    # In turn, each of eleven has its tenth after 110; those who work at the same time may be a little out of step.
    assert last < 2 * (SMALL + 1) * EACH


@pytest.mark.parametrize("late", [1, 5])
async def test_one_worker_serves_them_in_turn(world: World, late: int) -> None:
    first, second = uuid4(), uuid4()
    await queue(world, first, 20)
    await queue(world, second, late)
    done: list[tuple[UUID, UUID]] = []
    await work(world, "w", done)
    assert [who for who, _ in done[: 2 * late]] == [first, second] * late
    assert {who for who, _ in done[2 * late :]} == {first}
