"""What both sides of a share are told, and the ends that shares come to by themselves."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.origin import SYSTEM
from chassis.outbox import CHANNEL, encode
from services.snapshots.domain import Cause, SnapshotShared, SnapshotUnshared

# Wakes whoever ends what expires.
EXPIRY = "share_expiry"
# Sorted, so that two who end some of the same cannot wait for each other.
_END = """
WITH held AS (
    SELECT h.snapshot_id, h.receiver_id FROM shares AS h WHERE {which}
    ORDER BY {order} FOR UPDATE {unless})
, gone AS (
    DELETE FROM shares AS h USING held
    WHERE (h.snapshot_id, h.receiver_id) = (held.snapshot_id, held.receiver_id)
    RETURNING h.snapshot_id, h.name, h.receiver_id, coalesce(h.expires_at <= clock_timestamp(), false) AS expired)
SELECT gone.*, s.organization_id FROM gone JOIN snapshots AS s ON s.id = gone.snapshot_id
ORDER BY gone.snapshot_id, gone.receiver_id
"""
_ALL = {"order": "h.snapshot_id, h.receiver_id", "unless": ""}
_END_OF = text(_END.format(which="h.snapshot_id = ANY(:ids)", **_ALL))
_END_WITH = text(_END.format(which="h.receiver_id = :receiver_id", **_ALL))
_END_EXPIRED_OF = text(
    _END.format(which="h.snapshot_id = :id AND h.expires_at <= clock_timestamp()", **_ALL)
)
# By the moment at which the transaction began, which the index can be asked for.
_END_EXPIRED = text(
    _END.format(
        which="h.expires_at <= now()", order="h.expires_at", unless="SKIP LOCKED LIMIT :limit"
    )
)
_NEXT = text("SELECT date_part('epoch', min(expires_at) - clock_timestamp()) FROM shares")
_TELL = text("""
INSERT INTO outbox (type, organization_id, payload, origin)
SELECT t.type, t.organization, CAST(t.payload AS jsonb), CAST(t.origin AS jsonb)
FROM unnest(CAST(:types AS text[]), CAST(:organizations AS text[]), CAST(:payloads AS text[]), CAST(:origins AS text[]))
    AS t (type, organization, payload, origin)
""")
_NOTIFY = text("SELECT pg_notify(:channel, '')")
_NOBODY = msgspec.json.encode(SYSTEM).decode()
Told = SnapshotShared | SnapshotUnshared


async def end_shares_of(session: AsyncSession, snapshot_ids: Sequence[UUID]) -> None:
    """End all shares of snapshots that are being removed; who owns them is told of the removal already."""
    rows = (await session.execute(_END_OF, {"ids": list(snapshot_ids)})).all()
    await _tell_ends(session, rows, Cause.REMOVED, lambda e: [e.receiver_id])


async def end_shares_with(session: AsyncSession, receiver_id: UUID) -> None:
    """End all shares with an organization that was deleted."""
    rows = (await session.execute(_END_WITH, {"receiver_id": receiver_id})).all()
    await _tell_ends(session, rows, Cause.RECEIVER_DELETED, lambda e: [e.owner_id])


async def end_expired_of(session: AsyncSession, snapshot_id: UUID) -> None:
    """End the shares of a snapshot that have expired."""
    rows = (await session.execute(_END_EXPIRED_OF, {"id": snapshot_id})).all()
    await _tell_ends(session, rows, Cause.EXPIRED, both)


async def end_expired(session: AsyncSession, *, limit: int = 100) -> bool:
    """End some shares that have expired and that nobody is at; tell whether there were any."""
    rows = (await session.execute(_END_EXPIRED, {"limit": limit})).all()
    await _tell_ends(session, rows, Cause.EXPIRED, both)
    return bool(rows)


async def next_expiry(session: AsyncSession) -> float | None:
    """Return in how many seconds the next share expires; None: none does."""
    found: float | None = await session.scalar(_NEXT)
    return found


async def wake_expiry(session: AsyncSession) -> None:
    """Say, when the transaction commits, that a share expires, maybe before all others."""
    await session.execute(_NOTIFY, {"channel": EXPIRY})


def both(event: Told) -> list[str]:
    """Return both sides of a share."""
    return [event.owner_id, event.receiver_id]


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
    await session.execute(_NOTIFY, {"channel": CHANNEL})


async def _tell_ends(
    session: AsyncSession,
    rows: Sequence[Any],
    cause: Cause,
    sides: Callable[[SnapshotUnshared], list[str]],
) -> None:
    """Tell these sides why shares ended; of what had expired before, both."""
    told = []
    for row in rows:
        event = _ended(row, Cause.EXPIRED if row.expired else cause)
        told += [(side, event) for side in (both(event) if row.expired else sides(event))]
    await tell(session, told)


def _ended(row: Any, cause: Cause) -> SnapshotUnshared:
    snapshot, receiver, owner = row.snapshot_id, row.receiver_id, row.organization_id
    return SnapshotUnshared(str(snapshot), row.name, str(owner), str(receiver), cause)
