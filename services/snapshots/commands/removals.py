"""The end of snapshots: rows that are being removed go, and with the last name of an artifact the artifact."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands import builds
from services.snapshots.commands.blobs import release_artifacts
from services.snapshots.commands.moves import announce_all
from services.snapshots.commands.seen import SEEN, seen
from services.snapshots.domain import SnapshotRemoved

# One organization at a time: a transaction holds the usage row of no more than one.
_CLAIM = text(f"""
WITH first AS (
    SELECT organization_id FROM snapshots WHERE state = 'removing'
    ORDER BY updated_at FOR UPDATE SKIP LOCKED LIMIT 1)
SELECT s.id, s.organization_id, s.name, s.artifact_id, s.build_id, {SEEN}
FROM snapshots AS s JOIN first USING (organization_id)
WHERE s.state = 'removing' ORDER BY s.updated_at LIMIT :limit FOR UPDATE OF s SKIP LOCKED
""")
_OF_VERSIONS = text(
    "SELECT DISTINCT artifact_id, build_id FROM versions WHERE snapshot_id = ANY(:ids)"
)
_HOLD_ARTIFACTS = text("SELECT id FROM artifacts WHERE id = ANY(:ids) ORDER BY id FOR UPDATE")
_ERASE = text("DELETE FROM snapshots WHERE id = ANY(:ids)")
_UNUSED = text(
    "SELECT id FROM artifacts AS a WHERE id = ANY(:ids)"
    " AND NOT EXISTS (SELECT 1 FROM snapshots AS s WHERE s.artifact_id = a.id)"
    " AND NOT EXISTS (SELECT 1 FROM versions AS v WHERE v.artifact_id = a.id)"
)
_FEWER = text("UPDATE usage SET total = total - :n WHERE organization_id = :organization_id")


async def erase(session: AsyncSession, *, limit: int = 100) -> int:
    """Let up to `limit` snapshots that are being removed, the longest waiting first, be gone; return how many were.

    Their names are free again at once; blobs that nothing needs any more become garbage (commands.blobs.collect).
    """
    rows = (await session.execute(_CLAIM, {"limit": limit})).all()
    if not rows:
        return 0
    ids = [row.id for row in rows]
    versions = (await session.execute(_OF_VERSIONS, {"ids": ids})).all()
    artifacts = _known(row.artifact_id for row in (*rows, *versions))
    await session.execute(_HOLD_ARTIFACTS, {"ids": artifacts})
    await session.execute(_ERASE, {"ids": ids})
    unused = (await session.scalars(_UNUSED, {"ids": artifacts})).all()
    await release_artifacts(session, unused)
    await builds.forget(session, _known(row.build_id for row in (*rows, *versions)))
    organization_id, own = rows[0].organization_id, sum(not row.general for row in rows)
    await session.execute(_FEWER, {"n": own, "organization_id": organization_id})
    removed = [SnapshotRemoved(str(row.id), row.name, row.region_ids, seen(row)) for row in rows]
    await announce_all(session, organization_id, removed)
    return len(rows)


def _known(ids: Iterable[UUID | None]) -> list[UUID]:
    return sorted({id_ for id_ in ids if id_ is not None})
