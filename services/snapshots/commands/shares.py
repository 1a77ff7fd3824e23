"""What the owner of a snapshot lets another organization do with it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.revisions import check_revision
from services.snapshots.commands.share_ends import both, end_expired_of, tell, wake_expiry
from services.snapshots.domain import (
    MOST_SHARES,
    Cause,
    IdRequired,
    ShareExpiryInvalid,
    ShareLimitReached,
    ShareNameGeneral,
    ShareReceiverInvalid,
    SnapshotNotFound,
    SnapshotShared,
    SnapshotUnshared,
    State,
    StateConflict,
    rights,
)
from services.snapshots.queries import one
from services.snapshots.queries.one import uuid_from
from services.snapshots.queries.shares import COLUMNS, not_shared

# What removes it ends its shares then: none is made that would be left over.
_HOLD = text("SELECT state FROM snapshots WHERE id = :id FOR UPDATE")
_LIVING = "(h.expires_at IS NULL OR h.expires_at > clock_timestamp())"
_ONE = text(
    f"SELECT {COLUMNS}, h.snapshot_id, h.name FROM shares AS h"
    f" WHERE h.snapshot_id = :id AND h.receiver_id = :receiver_id AND {_LIVING} FOR UPDATE"
)
_AHEAD = text("SELECT CAST(:moment AS timestamptz) > clock_timestamp()")
_NAME_GENERAL = text("SELECT 1 FROM snapshots WHERE general AND name = :name LIMIT 1")
_COUNT = text("SELECT count(*) FROM shares WHERE snapshot_id = :id")
_PUT = text(f"""
INSERT INTO shares AS h (snapshot_id, receiver_id, name, may_use, expires_at)
VALUES (:id, :receiver_id, :name, :may_use, :expires_at)
ON CONFLICT (snapshot_id, receiver_id) DO UPDATE SET may_use = excluded.may_use, expires_at = excluded.expires_at,
    revision = h.revision + 1, updated_at = clock_timestamp()
RETURNING {COLUMNS}
""")
_DELETE = text("DELETE FROM shares WHERE snapshot_id = :id AND receiver_id = :receiver_id")
_OWNER = text("SELECT organization_id FROM snapshots WHERE id = :id")
_NAMED = text(
    f"SELECT 1 FROM shares AS h WHERE h.receiver_id = :receiver_id AND h.name = :name AND {_LIVING} LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a receiver may do, and until when (None: until that is withdrawn)."""

    receiver_id: UUID
    may_use: bool
    expires_at: datetime | None


async def put(
    session: AsyncSession, organization_id: UUID, ref: str, terms: Terms, condition: Any
) -> Any:
    """Share, or say anew what is shared; return the share. Refused as PutShare says."""
    if terms.receiver_id == organization_id:
        raise ShareReceiverInvalid("a snapshot is not shared with the organization that owns it")
    snapshot = await one.owned(session, organization_id, ref)
    await _hold(session, snapshot.id)
    if not await session.scalar(
        _AHEAD, {"moment": terms.expires_at or datetime.max.replace(tzinfo=UTC)}
    ):
        raise ShareExpiryInvalid("the share is to end in the future")
    await end_expired_of(session, snapshot.id)
    which = {"id": snapshot.id, "receiver_id": terms.receiver_id}
    now = (await session.execute(_ONE, which)).one_or_none()
    check_revision(now.revision if now else 0, condition)
    if now is None:
        await _check_room(session, snapshot)
    elif (now.may_use, now.expires_at) == (terms.may_use, terms.expires_at):
        return now
    said = {"may_use": terms.may_use, "expires_at": terms.expires_at}
    share = (await session.execute(_PUT, {**which, "name": snapshot.name, **said})).one()
    event = _shared(snapshot, organization_id, terms)
    await tell(session, ((side, event) for side in both(event)), acting=organization_id)
    if terms.expires_at is not None:
        await wake_expiry(session)
    return share


async def delete(
    session: AsyncSession, organization_id: UUID, ref: str, receiver_id: UUID, condition: Any
) -> None:
    """Withdraw a share, or, as its receiver, do without it. Refused as DeleteShare says."""
    if receiver_id == organization_id:
        id_, cause = await _received(session, organization_id, ref), Cause.DECLINED
    else:
        id_, cause = (await one.owned(session, organization_id, ref)).id, Cause.WITHDRAWN
    which = {"id": id_, "receiver_id": receiver_id}
    share = (await session.execute(_ONE, which)).one_or_none()
    if share is None:
        raise _unknown(ref) if cause is Cause.DECLINED else not_shared(receiver_id)
    check_revision(share.revision, condition)
    await session.execute(_DELETE, which)
    owner = await session.scalar(_OWNER, {"id": id_})
    event = SnapshotUnshared(str(id_), share.name, str(owner), str(receiver_id), cause)
    await tell(session, ((side, event) for side in both(event)), acting=organization_id)


async def _hold(session: AsyncSession, id_: UUID) -> None:
    state = await session.scalar(_HOLD, {"id": id_})
    if state is None:
        raise _unknown(str(id_))
    if state == State.REMOVING:
        raise StateConflict("a snapshot that is being removed is not shared", current=state)


async def _check_room(session: AsyncSession, snapshot: Any) -> None:
    """Refuse one share too many, and one that would take the place of a general snapshot in somebody else's eyes."""
    if await session.scalar(_NAME_GENERAL, {"name": snapshot.name}):
        message = (
            f"a general snapshot is named {snapshot.name}: under this name it cannot be shared"
        )
        raise ShareNameGeneral(message, name=snapshot.name)
    if (await session.scalar(_COUNT, {"id": snapshot.id}) or 0) >= MOST_SHARES:
        message = f"a snapshot is shared with at most {MOST_SHARES} organizations"
        raise ShareLimitReached(message, limit=str(MOST_SHARES))


async def _received(session: AsyncSession, organization_id: UUID, ref: str) -> UUID:
    """Return the id that the text is; refuse a name, and an own snapshot, which nobody shares with its owner."""
    if (await one.own(session, organization_id, ref))[0] is not None:
        raise not_shared(organization_id)
    id_ = uuid_from(ref)
    if id_ is not None:
        return id_
    named = {"receiver_id": organization_id, "name": ref}
    if "\0" not in ref and await session.scalar(_NAMED, named):
        raise IdRequired(f"name snapshot {ref} by its id here", snapshot=ref)
    raise _unknown(ref)


def _unknown(ref: str) -> SnapshotNotFound:
    return SnapshotNotFound("there is no such snapshot", snapshot=ref[:255])


def _shared(snapshot: Any, owner_id: UUID, terms: Terms) -> SnapshotShared:
    return SnapshotShared(
        str(snapshot.id),
        snapshot.name,
        str(owner_id),
        str(terms.receiver_id),
        [right.value for right in rights(terms.may_use)],
        terms.expires_at.isoformat() if terms.expires_at else "",
    )
