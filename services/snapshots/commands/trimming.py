"""Versions let go of their bytes with age; what nothing refers to then becomes garbage.

Nothing here waits for a lock, but for that of a note that is there already (commands.notes): what somebody else holds in this
moment is left for the next time.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands import builds
from services.snapshots.commands.blobs import release_artifacts
from services.snapshots.commands.notes import LOOSE_ARTIFACTS
from services.snapshots.domain import VERSIONS_REMEMBERED

_NOTED = text("SELECT snapshot_id FROM trims LIMIT :limit")
_HOLD = text("SELECT id FROM snapshots WHERE id = ANY(:ids) ORDER BY id FOR UPDATE SKIP LOCKED")
_SAME = "(v.snapshot_id, v.number) = (r.snapshot_id, r.number)"
# The current version, which is not among these, is one of those that are kept.
_LET_GO = text(f"""
WITH ranked AS MATERIALIZED (
    SELECT snapshot_id, number, artifact_id,
        row_number() OVER (PARTITION BY snapshot_id ORDER BY number DESC) AS place
    FROM versions WHERE snapshot_id = ANY(:ids) AND artifact_id IS NOT NULL)
, let_go AS (
    UPDATE versions AS v SET artifact_id = NULL FROM ranked AS r WHERE {_SAME} AND r.place >= :kept
    RETURNING r.artifact_id)
{LOOSE_ARTIFACTS.format("SELECT DISTINCT artifact_id FROM let_go")}
""")
_FORGET = text(f"""
WITH ranked AS MATERIALIZED (
    SELECT snapshot_id, number, row_number() OVER (PARTITION BY snapshot_id ORDER BY number DESC) AS place
    FROM versions WHERE snapshot_id = ANY(:ids))
, forgotten AS (
    DELETE FROM versions AS v USING ranked AS r
    WHERE {_SAME} AND r.place > {VERSIONS_REMEMBERED} AND v.pull_id IS NULL
    RETURNING v.artifact_id, v.build_id)
, loose AS (
    {LOOSE_ARTIFACTS.format("SELECT DISTINCT artifact_id FROM forgotten WHERE artifact_id IS NOT NULL")})
SELECT DISTINCT build_id FROM forgotten WHERE build_id IS NOT NULL
""")
_TRIMMED = text("""
DELETE FROM trims AS t WHERE t.snapshot_id = ANY(:ids)
AND (t.snapshot_id = ANY(:held) OR NOT EXISTS (SELECT FROM snapshots AS s WHERE s.id = t.snapshot_id))
RETURNING t.snapshot_id
""")
_LOOSE = text("SELECT artifact_id FROM loose_artifacts LIMIT :limit FOR UPDATE SKIP LOCKED")
_HOLD_ARTIFACTS = text(
    "SELECT id FROM artifacts WHERE id = ANY(:ids) ORDER BY id FOR UPDATE SKIP LOCKED"
)
_UNUSED = text(
    "SELECT id FROM artifacts AS a WHERE id = ANY(:ids)"
    " AND NOT EXISTS (SELECT FROM snapshots AS s WHERE s.artifact_id = a.id)"
    " AND NOT EXISTS (SELECT FROM versions AS v WHERE v.artifact_id = a.id)"
)
_LOOKED_AT = text("""
DELETE FROM loose_artifacts AS l WHERE l.artifact_id = ANY(:ids)
AND (l.artifact_id = ANY(:held) OR NOT EXISTS (SELECT FROM artifacts AS a WHERE a.id = l.artifact_id))
RETURNING l.artifact_id
""")


async def trim(session: AsyncSession, *, kept: int, limit: int = 100) -> int:
    """Let all but the newest `kept` versions of some snapshots go, and forget the very old ones; return of how many."""
    ids = list((await session.scalars(_NOTED, {"limit": limit})).all())
    held = list((await session.scalars(_HOLD, {"ids": ids})).all())
    await session.execute(_LET_GO, {"ids": held, "kept": kept})
    forgotten = (await session.scalars(_FORGET, {"ids": held})).all()
    await builds.forget(session, sorted(forgotten))
    return len((await session.scalars(_TRIMMED, {"ids": ids, "held": held})).all())


async def release_loose(session: AsyncSession, *, limit: int = 100) -> int:
    """Drop some of the artifacts that were let go, if nothing else refers to them; return how many were looked at."""
    ids = list((await session.scalars(_LOOSE, {"limit": limit})).all())
    held = list((await session.scalars(_HOLD_ARTIFACTS, {"ids": ids})).all())
    unused = (await session.scalars(_UNUSED, {"ids": held})).all()
    await release_artifacts(session, unused)
    return len((await session.scalars(_LOOKED_AT, {"ids": ids, "held": held})).all())
