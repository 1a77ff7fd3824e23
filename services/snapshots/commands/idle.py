"""What nobody uses goes out of use."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands.audited import audited
from services.snapshots.commands.moves import announce_all, move, standing
from services.snapshots.commands.reviews import holds
from services.snapshots.domain import State

_LAST = "greatest({0}.created_at, {0}.last_used_at)"
# Chosen, then held and looked at once more: a use that comes at the same moment is waited for, and wins. Names of one
# artifact keep each other in use.
_IDLE = text(f"""
SELECT s.id, s.name, s.state, s.generation FROM snapshots AS s
WHERE s.id = ANY (ARRAY(
    SELECT i.id FROM snapshots AS i
    WHERE i.organization_id = :organization_id AND i.state = 'active' AND NOT i.general
    AND {_LAST.format("i")} < :cutoff
    AND NOT EXISTS (
        SELECT FROM snapshots AS t WHERE t.artifact_id = i.artifact_id AND t.state = 'active'
        AND {_LAST.format("t")} >= :cutoff)
    ORDER BY {_LAST.format("i")} LIMIT :limit))
AND s.state = 'active' AND NOT s.general AND {_LAST.format("s")} < :cutoff
ORDER BY s.id FOR UPDATE
""")
_NEXT = text(f"""
SELECT {_LAST.format("s")} FROM snapshots AS s
WHERE s.organization_id = :organization_id AND s.state = 'active' AND {_LAST.format("s")} >= :cutoff
ORDER BY {_LAST.format("s")} LIMIT 1
""")


async def deactivate(
    session: AsyncSession,
    organization_id: UUID,
    cutoff: datetime,
    revision: int,
    *,
    limit: int = 200,
) -> bool:
    """Deactivate some of what was neither made nor used since the cutoff; general snapshots stay.

    False: nothing is left, or the limits of this revision hold no longer.
    """
    if not await holds(session, organization_id, revision):
        return False
    bound = {"organization_id": organization_id, "cutoff": cutoff, "limit": limit}
    rows = (await session.execute(_IDLE, bound)).all()
    await move(session, organization_id, [standing(row) for row in rows], State.INACTIVE)
    told = [audited("deactivate", row.id, name=row.name, cause="idle") for row in rows]
    await announce_all(session, organization_id, told)
    return bool(rows)


async def next_due(
    session: AsyncSession, organization_id: UUID, now: datetime, timeout: timedelta
) -> datetime:
    """Return when the next one may be idle. What comes into use from now on cannot be before that."""
    bound = {"organization_id": organization_id, "cutoff": now - timeout}
    last: datetime | None = await session.scalar(_NEXT, bound)
    return (last or now) + timeout
