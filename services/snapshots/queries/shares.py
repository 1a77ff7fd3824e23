"""Shares of snapshots."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chassis.db import Pool
from services.snapshots.domain import ShareNotFound, SnapshotNotFound

# The moment decides, not a clean-up.
LIVING = "(h.expires_at IS NULL OR h.expires_at > now())"
COLUMNS = "h.receiver_id, h.may_use, h.expires_at, h.revision, h.created_at, h.updated_at"
_OWN = "SELECT id FROM snapshots WHERE organization_id = $1 AND name = $2"
_OWN_BY_ID = "SELECT id FROM snapshots WHERE organization_id = $1 AND id = $2"
_OF = f"SELECT {COLUMNS} FROM shares AS h WHERE h.snapshot_id = $1 AND {LIVING}"
_LIST = f"{_OF} ORDER BY h.receiver_id"
_ONE = f"{_OF} AND h.receiver_id = $2"


async def own_id(pool: Pool, organization_id: UUID, ref: str, id_: UUID | None) -> UUID:
    """Return the id of an own snapshot, by its name or else its id. Refused with SNAPSHOT_NOT_FOUND."""
    found: UUID | None = None
    if "\0" not in ref:
        found = await pool.fetchval(_OWN, organization_id, ref)
    if found is None and id_ is not None:
        found = await pool.fetchval(_OWN_BY_ID, organization_id, id_)
    if found is None:
        raise SnapshotNotFound("there is no such snapshot")
    return found


async def shares_of(pool: Pool, snapshot_id: UUID) -> Sequence[Any]:
    return await pool.fetch(_LIST, snapshot_id)


async def share(pool: Pool, snapshot_id: UUID, receiver_id: UUID) -> Any:
    row = await pool.fetchrow(_ONE, snapshot_id, receiver_id)
    if row is None:
        raise not_shared(receiver_id)
    return row


def not_shared(receiver_id: UUID | str) -> ShareNotFound:
    return ShareNotFound(
        "the snapshot is not shared with this organization", organization=str(receiver_id)[:255]
    )
