"""The end of an organization: nothing is made for it any more, and what it has is removed."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands import grants, registries
from services.snapshots.commands.blobs import release_artifacts, release_pull
from services.snapshots.commands.lifecycle import leave_work
from services.snapshots.commands.moves import wake_workers
from services.snapshots.commands.share_ends import end_shares_with
from services.snapshots.domain import State

RETIRE = "retire"
_NOTIFY_RETIRE = text(f"SELECT pg_notify('{RETIRE}', '')")
_CLOSE = text(
    "INSERT INTO usage (organization_id, closed) VALUES (:organization_id, true)"
    " ON CONFLICT (organization_id) DO UPDATE SET closed = true"
)
# Limits that were asked for before are believed for less than this; the closed account refuses what they would let in.
_FORGET_LATER = text("""
INSERT INTO reviews (organization_id, due_at) VALUES (:organization_id, now() + interval '10 minutes')
ON CONFLICT (organization_id) DO UPDATE SET due_at = excluded.due_at""")
_IS_CLOSED = text("SELECT 1 FROM usage WHERE organization_id = :organization_id AND closed")
_HOLD_PULLS = text(
    "SELECT id FROM pulls WHERE organization_id = :organization_id ORDER BY id FOR UPDATE"
)
_STILL_THERE = text("SELECT 1 FROM snapshots WHERE organization_id = :organization_id LIMIT 1")
_HOLD_ARTIFACTS = text(
    "SELECT id FROM artifacts WHERE organization_id = :organization_id ORDER BY id FOR UPDATE"
)
_FORGET_JOBS = text("DELETE FROM bulk_jobs WHERE organization_id = :organization_id")
_FORGET_TURN = text("DELETE FROM turns WHERE organization_id = :organization_id")
_CLEAR_ACCOUNT = text("DELETE FROM usage WHERE organization_id = :organization_id AND closed")
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
    """Make nothing for this organization any more; `retire` removes what it has, and `forget` the account itself."""
    # What opens registries to it is gone at once.
    await registries.forget(session, organization_id)
    await grants.forget(session, organization_id)
    await session.execute(_CLOSE, {"organization_id": organization_id})
    await session.execute(_FORGET_LATER, {"organization_id": organization_id})
    await end_shares_with(session, organization_id)
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


async def forget(session: AsyncSession, organization_id: UUID) -> bool:
    """Remove the last traces of an organization that is gone. False: it is closed, and has snapshots still."""
    gone = {"organization_id": organization_id}
    if (await session.execute(_IS_CLOSED, gone)).first() is None:
        return True
    pulls = (await session.scalars(_HOLD_PULLS, gone)).all()
    if (await session.execute(_STILL_THERE, gone)).first() is not None:
        return False
    # Nothing refers to them; only a crash at the wrong moment can have left any.
    for pull_id in pulls:
        await release_pull(session, pull_id)
    await release_artifacts(session, (await session.scalars(_HOLD_ARTIFACTS, gone)).all())
    await session.execute(_FORGET_JOBS, gone)
    await session.execute(_FORGET_TURN, gone)
    await session.execute(_CLEAR_ACCOUNT, gone)
    return True
