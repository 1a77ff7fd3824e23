"""Who waits for a pull: snapshots, and versions of snapshots. Work that nobody waits for any more is cancelled."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands import builds
from services.snapshots.commands.blobs import release_pulls
from services.snapshots.domain import VersionState

_OF_VERSIONS = text(
    "SELECT pull_id FROM versions WHERE snapshot_id = ANY(:ids) AND pull_id IS NOT NULL"
)
_HOLD = text("SELECT id FROM pulls WHERE id = ANY(:ids) ORDER BY id FOR UPDATE")
# One that was there before can be gone back to as ever.
_LEAVE = text("""
UPDATE versions SET pull_id = NULL, state = CASE WHEN ref <> '' THEN 'inactive' ELSE :state END
WHERE snapshot_id = ANY(:ids) AND pull_id IS NOT NULL
""")
_UNWANTED = text(
    "SELECT id FROM pulls AS p WHERE id = ANY(:ids)"
    " AND NOT EXISTS (SELECT FROM snapshots AS s WHERE s.pull_id = p.id)"
    " AND NOT EXISTS (SELECT FROM versions AS v WHERE v.pull_id = p.id)"
)


async def pulls_of_versions(session: AsyncSession, snapshot_ids: Sequence[UUID]) -> set[UUID]:
    """Return the pulls that versions of these snapshots wait for; `hold` them before the snapshots are changed."""
    return set((await session.scalars(_OF_VERSIONS, {"ids": list(snapshot_ids)})).all())


async def hold(session: AsyncSession, pulls: Iterable[UUID]) -> set[UUID]:
    """Hold pulls, and return those that are still there."""
    return set((await session.scalars(_HOLD, {"ids": sorted(pulls)})).all())


async def leave(session: AsyncSession, snapshot_ids: Sequence[UUID], state: VersionState) -> None:
    """Let versions of these snapshots, which the caller holds, wait no longer."""
    await session.execute(_LEAVE, {"ids": list(snapshot_ids), "state": state})
    # A build may go on for others; who reads its log for one of these is told that it is over for them.
    await builds.wake_readers(session)


async def release_unwanted(session: AsyncSession, pulls: Iterable[UUID]) -> None:
    """Cancel those of the held pulls that nobody waits for any more."""
    unwanted = await session.scalars(_UNWANTED, {"ids": sorted(pulls)})
    await release_pulls(session, unwanted.all())
