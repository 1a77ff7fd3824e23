"""Reads of what auth itself revoked."""

from dataclasses import dataclass

from chassis.db import Pool

_MARK = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
# Always a row, so that the mark moves on although nothing was revoked.
_REVOKED = (
    "SELECT s.seen, o.id, o.payload->>'api_key_id', o.payload->>'user_id', o.payload->>'organization_id'"
    " FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS seen) s"
    " LEFT JOIN outbox o ON o.xid >= $1::text::xid8 AND o.type = 'caller_revoked'"
)


@dataclass(frozen=True, slots=True)
class Revoked:
    """What holds no longer. All that is set must match; nothing is set: everything."""

    api_key_id: str = ""
    user_id: str = ""
    organization_id: str = ""
    organization_deleted: bool = False


async def mark(pool: Pool) -> str:
    """Return the mark from which every revocation that commits later is seen."""
    found: str = await pool.fetchval(_MARK)
    return found


async def since(pool: Pool, mark: str) -> tuple[list[tuple[str, Revoked]], str]:
    """Return what was revoked since `mark`, by row, whatever else still runs and now and then twice; and the next mark."""
    records = await pool.fetch(_REVOKED, mark)
    rows = [(str(r[1]), Revoked(*r[2:])) for r in records if r[1] is not None]
    return rows, records[0][0]
