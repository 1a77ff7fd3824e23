"""What sandboxes start from: found, activated on the way if that is wanted, and each start counted once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from services.snapshots.commands.audited import audited
from services.snapshots.commands.lifecycle import check_usable, to_be_had
from services.snapshots.commands.moves import move, standing
from services.snapshots.domain import (
    Busy,
    Limits,
    RegionNotFound,
    SnapshotNotFound,
    State,
    StateConflict,
    check_usable_by,
)
from services.snapshots.queries import one

# As long as a feed: who tells of uses may have been away for so long.
KEPT = "7 days"
# In order, before anything else: whoever records the same snapshots waits here.
_HOLD = text("SELECT id FROM snapshots WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
_RECORD = text("""
WITH told AS (
    SELECT DISTINCT ON (id) * FROM unnest(CAST(:ids AS uuid[]), CAST(:snapshots AS uuid[]),
        CAST(:organizations AS uuid[]), CAST(:moments AS timestamptz[])) AS t (id, snapshot_id, organization_id, used_at)
    WHERE snapshot_id = ANY(:known) ORDER BY id),
new AS (
    INSERT INTO uses (id, snapshot_id, organization_id, used_at) SELECT * FROM told ORDER BY id
    ON CONFLICT DO NOTHING RETURNING snapshot_id, used_at),
counted AS (
    SELECT snapshot_id, count(*) AS starts, least(max(used_at), clock_timestamp()) AS last FROM new GROUP BY 1),
changed AS (
    UPDATE snapshots AS s SET use_count = s.use_count + starts, last_used_at = greatest(s.last_used_at, last)
    FROM counted WHERE s.id = counted.snapshot_id)
SELECT coalesce(sum(starts), 0)::int FROM counted
""")
_USED_NOW = text(
    "UPDATE snapshots SET use_count = use_count + 1, last_used_at = greatest(last_used_at, clock_timestamp())"
    " WHERE id = :id"
)
_STILL_ACTIVE = text(
    "SELECT id FROM snapshots WHERE id = :id AND state = 'active' FOR NO KEY UPDATE"
)
_NEW_USE = text(
    "INSERT INTO uses (id, snapshot_id, organization_id, used_at)"
    " VALUES (:use_id, :id, :organization_id, clock_timestamp()) ON CONFLICT DO NOTHING RETURNING id"
)
_FORGET = text(f"""
DELETE FROM uses WHERE id IN (SELECT id FROM uses WHERE recorded_at < now() - interval '{KEPT}' LIMIT :limit)
RETURNING 1
""")


class Use(NamedTuple):
    """A sandbox of an organization started from a snapshot."""

    id: UUID
    snapshot_id: UUID
    organization_id: UUID
    used_at: datetime


async def record(session: AsyncSession, uses: Sequence[Use]) -> tuple[int, list[UUID]]:
    """Count those uses that are new; return how many were, and which snapshots are gone."""
    asked = sorted({use.snapshot_id for use in uses})
    known = set((await session.scalars(_HOLD, {"ids": asked})).all())
    ids, snapshots, organizations, moments = (list(column) for column in zip(*uses, strict=True))
    bound = {"ids": ids, "snapshots": snapshots, "organizations": organizations}
    counted = await session.scalar(_RECORD, {**bound, "moments": moments, "known": list(known)})
    return int(counted or 0), [id_ for id_ in asked if id_ not in known]


async def resolve(
    session: AsyncSession,
    organization_id: UUID,
    ref: str,
    region_id: str,
    use_id: UUID | None,
    limits: Limits,
    now: float,
) -> tuple[UUID, bool]:
    """Find what a sandbox is to start from; return its id and whether it came into use by that.

    Refused as ResolveForUse says.
    """
    snapshot = await one.meant(session, organization_id, ref)
    if snapshot is None:
        raise SnapshotNotFound(f"snapshot {ref} does not exist", snapshot=ref)
    limits.check_not_suspended(now)
    check_usable_by(
        str(organization_id),
        owner_id=str(snapshot.organization_id),
        general=snapshot.general,
        shared_use=snapshot.shared_use,
    )
    if region_id and not (region_id in snapshot.region_ids and limits.available(region_id)):
        raise RegionNotFound(f"it is not to be used in region {region_id}", region=region_id)
    activated = snapshot.state != State.ACTIVE
    if activated:
        await _activate(session, organization_id, snapshot, limits, now)
    if use_id is not None:
        await _use(session, organization_id, snapshot.id, use_id)
    return snapshot.id, activated


async def forget(session: AsyncSession, *, limit: int = 10_000) -> int:
    """Forget some of the uses that nobody tells of again; return how many."""
    return len((await session.execute(_FORGET, {"limit": limit})).all())


async def _activate(
    session: AsyncSession, organization_id: UUID, snapshot: Row[Any], limits: Limits, now: float
) -> None:
    inactive = StateConflict(
        f"the snapshot is {snapshot.state}, not active", current=snapshot.state
    )
    own = snapshot.organization_id == organization_id
    if snapshot.state != State.INACTIVE or not own or not limits.auto_activation:
        raise inactive
    check_usable(snapshot, limits, now)
    if not await one.is_stored(session, snapshot.artifact_id):
        # Who starts a sandbox does not wait for a download.
        raise inactive
    # Its artifact is stored, so that nothing has to be built.
    to, values = await to_be_had(session, organization_id, snapshot, "")
    await move(session, organization_id, [standing(snapshot)], to, limits=limits, **values)
    told = audited("activate", snapshot.id, name=snapshot.name, cause="use")
    await announce(session, told, organization_id=organization_id)


async def _use(
    session: AsyncSession, organization_id: UUID, snapshot_id: UUID, use_id: UUID
) -> None:
    """Count a use, unless it is known. Raises Busy when the snapshot went out of use meanwhile."""
    known = {"id": snapshot_id, "use_id": use_id, "organization_id": organization_id}
    if (await session.execute(_STILL_ACTIVE, {"id": snapshot_id})).first() is None:
        raise Busy("the snapshot is being changed by somebody else: try again")
    if (await session.execute(_NEW_USE, known)).first() is not None:
        await session.execute(_USED_NOW, {"id": snapshot_id})
