"""How far the work on snapshots of a page is."""

from collections.abc import Iterable
from uuid import UUID

from chassis.db import Pool

_PROGRESS = (
    "SELECT id, phase, bytes_done, bytes_total, attempt FROM pulls WHERE id = ANY($1::uuid[])"
)


async def progress_of(pool: Pool, pulls: Iterable[UUID]) -> dict[UUID, tuple[str, int, int, int]]:
    """Return phase, bytes done, bytes in all and attempt of each pull that is still there."""
    wanted = list(pulls)
    if not wanted:
        return {}
    rows = await pool.fetch(_PROGRESS, wanted)
    return {row[0]: (row[1], row[2], row[3], row[4]) for row in rows}
