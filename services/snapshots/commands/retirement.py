"""The end of an organization: nothing is made for it any more, and what it has is removed."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands.lifecycle import leave_work
from services.snapshots.commands.moves import wake_workers
from services.snapshots.domain import State

RETIRE = "retire"
_NOTIFY_RETIRE = text(f"SELECT pg_notify('{RETIRE}', '')")
_CLOSE = text(
    "INSERT INTO usage (organization_id, closed) VALUES (:organization_id, true)"
    " ON CONFLICT (organization_id) DO UPDATE SET closed = true"
)
_LEFT_OVER = text("""
SELECT s.id, s.organization_id, s.state, s.generation, s.general, s.pull_id
FROM usage AS u JOIN snapshots AS s ON s.organization_id = u.organization_id
WHERE u.closed AND u.organization_id = (
    SELECT u.organization_id FROM usage AS u WHERE u.closed AND EXISTS (
        SELECT FROM snapshots AS s WHERE s.organization_id = u.organization_id AND s.state <> 'removing') LIMIT 1)
AND s.state <> 'removing' ORDER BY s.id LIMIT :limit""")
_MORE = text(
    "UPDATE usage SET total = total + :n WHERE organization_id = :organization_id AND :n > 0"
)


async def close_organization(session: AsyncSession, organization_id: UUID) -> None:
    """Make nothing for this organization any more; `retire` removes what it has."""
    await session.execute(_CLOSE, {"organization_id": organization_id})
    await session.execute(_NOTIFY_RETIRE)


async def retire(session: AsyncSession, *, limit: int = 100) -> bool:
    """Start the removal of some snapshots of an organization that is closed. False: there are none."""
    rows = list((await session.execute(_LEFT_OVER, {"limit": limit})).all())
    if not rows:
        return False
    organization_id = rows[0].organization_id
    await leave_work(session, organization_id, rows, State.REMOVING, general=False)
    general = sum(row.general for row in rows)
    await session.execute(_MORE, {"organization_id": organization_id, "n": general})
    await wake_workers(session)
    return True
