"""Owning up to the truth when files and rows disagree, as a crash or a person at the disk may have left them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands.moves import move, standing
from services.snapshots.domain import State

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:digest, 0))")
_KNOWN = text("SELECT digest FROM blobs WHERE digest = :digest")
_STRAY = text("""
INSERT INTO garbage (digest)
SELECT digest FROM blobs AS b
WHERE NOT EXISTS (SELECT 1 FROM artifact_blobs AS a WHERE a.digest = b.digest)
AND NOT EXISTS (SELECT 1 FROM pull_blobs AS p WHERE p.digest = b.digest)
ON CONFLICT DO NOTHING
""")
_AFFECTED = text("""
SELECT DISTINCT a.organization_id FROM artifact_blobs AS b JOIN artifacts AS a ON a.id = b.artifact_id
WHERE b.digest = :digest AND (a.stored OR EXISTS (
    SELECT 1 FROM snapshots AS s WHERE s.artifact_id = a.id AND s.state = 'active'))
""")
_ACTIVE = text("""
SELECT s.id, s.state, s.generation FROM snapshots AS s JOIN artifact_blobs AS b USING (artifact_id)
WHERE b.digest = :digest AND s.organization_id = :organization_id AND s.state = 'active'
ORDER BY s.id FOR UPDATE OF s
""")
_HOLD_ARTIFACTS = text("""
SELECT a.id FROM artifacts AS a JOIN artifact_blobs AS b ON b.artifact_id = a.id
WHERE b.digest = :digest AND a.organization_id = :organization_id ORDER BY a.id FOR UPDATE OF a
""")
_NOT_STORED = text("""
UPDATE artifacts AS a SET stored = false FROM artifact_blobs AS b
WHERE b.artifact_id = a.id AND b.digest = :digest AND a.organization_id = :organization_id AND a.stored
""")


async def hold(session: AsyncSession, digest: str) -> None:
    """See to it that nobody else begins to need the blob, or deletes it, before the caller commits."""
    await session.execute(_LOCK, {"digest": digest})


async def disown(session: AsyncSession, digest: str) -> bool:
    """Say whether the caller may unlink a file, before it commits: no row knows it, and none will meanwhile."""
    await hold(session, digest)
    return await session.scalar(_KNOWN, {"digest": digest}) is None


async def find_stray(session: AsyncSession) -> None:
    """Make garbage of blobs to which nothing refers, should any have been missed."""
    await session.execute(_STRAY)


async def affected_by(session: AsyncSession, digest: str) -> Sequence[UUID]:
    """Return the organizations that believe to have something which needs this blob."""
    return (await session.scalars(_AFFECTED, {"digest": digest})).all()


async def lose(session: AsyncSession, organization_id: UUID, digest: str) -> int:
    """Take what needs a blob that is gone, as `hold` let see, out of use in one organization; return how many snapshots.

    They can be activated again: the image is then fetched anew, by its digest.
    """
    bound = {"digest": digest, "organization_id": organization_id}
    # Snapshots before artifacts, as everybody holds them; and once more after those who bring something into use
    # in this moment, because they found it stored, were waited for.
    await session.execute(_ACTIVE, bound)
    await session.execute(_HOLD_ARTIFACTS, bound)
    await session.execute(_NOT_STORED, bound)
    active = [standing(row) for row in (await session.execute(_ACTIVE, bound)).all()]
    await move(session, organization_id, active, State.INACTIVE)
    return len(active)
