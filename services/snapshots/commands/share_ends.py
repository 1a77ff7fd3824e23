"""What both sides of a share are told, and the ends that shares come to by themselves."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.origin import SYSTEM
from chassis.outbox import CHANNEL, encode
from services.snapshots.domain import Cause, SnapshotShared, SnapshotUnshared

# Sorted, so that two who end some of the same cannot wait for each other.
_END = """
WITH held AS (
    SELECT h.snapshot_id, h.receiver_id FROM shares AS h WHERE {which}
    ORDER BY h.snapshot_id, h.receiver_id FOR UPDATE)
, gone AS (
    DELETE FROM shares AS h USING held
    WHERE (h.snapshot_id, h.receiver_id) = (held.snapshot_id, held.receiver_id)
    RETURNING h.snapshot_id, h.name, h.receiver_id, h.expires_at IS NULL OR h.expires_at > clock_timestamp() AS living)
SELECT gone.*, s.organization_id FROM gone JOIN snapshots AS s ON s.id = gone.snapshot_id WHERE gone.living
"""
_END_OF = text(_END.format(which="h.snapshot_id = ANY(:ids)"))
_END_WITH = text(_END.format(which="h.receiver_id = :receiver_id"))
_TELL = text("""
INSERT INTO outbox (type, organization_id, payload, origin)
SELECT t.type, t.organization, CAST(t.payload AS jsonb), CAST(t.origin AS jsonb)
FROM unnest(CAST(:types AS text[]), CAST(:organizations AS text[]), CAST(:payloads AS text[]), CAST(:origins AS text[]))
    AS t (type, organization, payload, origin)
""")
_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', '')")
_NOBODY = msgspec.json.encode(SYSTEM).decode()
Told = SnapshotShared | SnapshotUnshared


async def end_shares_of(session: AsyncSession, snapshot_ids: Sequence[UUID]) -> None:
    """End all shares of snapshots that are being removed; who owns them is told of the removal already."""
    rows = (await session.execute(_END_OF, {"ids": list(snapshot_ids)})).all()
    events = [_ended(row, Cause.REMOVED) for row in rows]
    await tell(session, ((e.receiver_id, e) for e in events))


async def end_shares_with(session: AsyncSession, receiver_id: UUID) -> None:
    """End all shares with an organization that was deleted."""
    rows = (await session.execute(_END_WITH, {"receiver_id": receiver_id})).all()
    events = [_ended(row, Cause.RECEIVER_DELETED) for row in rows]
    await tell(session, ((e.owner_id, e) for e in events))


async def tell(
    session: AsyncSession, told: Iterable[tuple[str, Told]], acting: UUID | None = None
) -> None:
    """Write events for the organizations that they are for. Who did it is told to the `acting` one alone."""
    rows = [(organization, *encode(event)) for organization, event in told]
    if not rows:
        return
    by = str(acting)
    bound: dict[str, Any] = {
        "organizations": [organization for organization, *_ in rows],
        "types": [type_ for _, type_, _, _ in rows],
        "payloads": [payload for _, _, payload, _ in rows],
        "origins": [origin if to == by else _NOBODY for to, _, _, origin in rows],
    }
    await session.execute(_TELL, bound)
    await session.execute(_NOTIFY)


def _ended(row: Any, cause: Cause) -> SnapshotUnshared:
    snapshot, receiver, owner = row.snapshot_id, row.receiver_id, row.organization_id
    return SnapshotUnshared(str(snapshot), row.name, str(owner), str(receiver), cause)
