"""The one way in which a snapshot changes its state: compare-and-set, with usage and event in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import CHANNEL, encode
from services.snapshots.commands import builds
from services.snapshots.commands.seen import SEEN, seen
from services.snapshots.commands.share_ends import end_shares_of
from services.snapshots.domain import (
    CONSUMING,
    Busy,
    Limits,
    LimitsOutdated,
    OrganizationGone,
    QuotaExceeded,
    SnapshotStateChanged,
    State,
    check_move,
)

WORK = "work"

_CHANGE = f"""
UPDATE snapshots AS s SET state = :to, generation = s.generation + 1, updated_at = clock_timestamp(){{values}}
FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:generations AS int[])) AS was (id, state, generation)
WHERE s.id = was.id AND s.state = was.state AND s.generation = was.generation
RETURNING s.id, s.name, was.state AS old, {SEEN}
"""
# Giving back never raises what was granted last, so a quota that was lowered since does not stand in the way.
_GIVE_BACK = text("UPDATE usage SET used = used - :places WHERE organization_id = :organization_id")
_TAKE = text(
    "UPDATE usage SET used = used + :places, ceiling = :quota"
    " WHERE organization_id = :organization_id AND used + :places <= :quota"
    " AND NOT closed AND limits_revision <= :revision RETURNING used"
)
_WHY_NOT = text(
    "SELECT closed, limits_revision > :revision AS outdated FROM usage WHERE organization_id = :organization_id"
)
_ANNOUNCE = text(
    "INSERT INTO outbox (type, organization_id, payload, origin)"
    " SELECT :type, :organization_id, CAST(payload AS jsonb), CAST(:origin AS jsonb)"
    " FROM unnest(CAST(:payloads AS text[])) AS payload"
)
_NOTIFY = text("SELECT pg_notify(:channel, '')")


@dataclass(frozen=True, slots=True)
class Standing:
    """A snapshot as it was read: what a change of it is compared with."""

    id: UUID
    state: State
    generation: int


def standing(row: Row[Any]) -> Standing:
    return Standing(row.id, State(row.state), row.generation)


async def move(
    session: AsyncSession,
    organization_id: UUID,
    snapshots: Sequence[Standing],
    to: State,
    *,
    limits: Limits | None = None,
    former: Sequence[UUID] = (),
    **values: Any,
) -> None:
    """Move snapshots of one organization, all or none; `values` are columns set along.

    `former`: builds that they tell of no longer, forgotten if nobody does.

    Refused with SNAPSHOT_STATE_CONFLICT for a move the lifecycle does not know, and SNAPSHOT_QUOTA_EXCEEDED when it
    takes places beyond the quota of the `limits`, which such moves must give. Raises Busy when one changed since it was
    read, and LimitsOutdated when later limits are known.
    """
    for snapshot in snapshots:
        check_move(snapshot.state, to)
    if not snapshots:
        return
    moved = await _change(session, snapshots, to, values)
    if len(moved) != len(snapshots):
        raise Busy("the snapshot is being changed by somebody else: try again")
    # Before the account, which is held last of all.
    await builds.forget(session, former)
    freed = sum(s.state in CONSUMING for s in snapshots)
    await _account(session, organization_id, freed, len(moved) if to in CONSUMING else 0, limits)
    events = [SnapshotStateChanged(str(r.id), r.name, r.old, to, seen(r)) for r in moved]
    await announce_all(session, organization_id, events)
    if to == State.REMOVING:
        await end_shares_of(session, [r.id for r in moved])


async def _change(
    session: AsyncSession, snapshots: Sequence[Standing], to: State, values: dict[str, object]
) -> Sequence[Row[Any]]:
    extra = "".join(f", {column} = :{column}" for column in values)
    held = {
        "to": to,
        "ids": [s.id for s in snapshots],
        "states": [s.state.value for s in snapshots],
        "generations": [s.generation for s in snapshots],
    }
    return (await session.execute(text(_CHANGE.format(values=extra)), {**held, **values})).all()


async def _account(
    session: AsyncSession, organization_id: UUID, freed: int, taken: int, limits: Limits | None
) -> None:
    places = taken - freed
    if places < 0:
        await session.execute(_GIVE_BACK, {"organization_id": organization_id, "places": -places})
    elif places > 0:
        if limits is None:
            raise TypeError("a move that takes a place of the quota must say under which limits")
        await _take(session, organization_id, places, limits)


async def _take(session: AsyncSession, organization_id: UUID, places: int, limits: Limits) -> None:
    quota = limits.snapshot_quota
    known = {"organization_id": organization_id, "revision": limits.revision}
    taken = await session.execute(_TAKE, {**known, "places": places, "quota": quota})
    if taken.first() is None:
        why = (await session.execute(_WHY_NOT, known)).one()
        if why.closed:
            raise OrganizationGone("the organization is deleted")
        if why.outdated:
            raise LimitsOutdated
        raise QuotaExceeded(f"all {quota} snapshots of the quota are in use", quota=str(quota))


async def announce_all(session: AsyncSession, organization_id: UUID, events: Sequence[Any]) -> None:
    """Write many events of one type at once."""
    if not events:
        return
    encoded = [encode(event) for event in events]
    type_, _, origin = encoded[0]
    payloads = [payload for _, payload, _ in encoded]
    bound = {"type": type_, "organization_id": str(organization_id), "origin": origin}
    await session.execute(_ANNOUNCE, {**bound, "payloads": payloads})
    await session.execute(_NOTIFY, {"channel": CHANNEL})


async def wake_workers(session: AsyncSession) -> None:
    """Tell the workers, when the transaction commits, that there is something to do."""
    await session.execute(_NOTIFY, {"channel": WORK})
