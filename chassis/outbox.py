"""Events for other contexts: rows written in the transaction that they tell of, read in order by the feed."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from chassis.errors import Kind, Refusal
from chassis.origin import current_origin

_encode = msgspec.json.Encoder().encode
CHANNEL = "outbox"
KEPT_DAYS = 7

_INSERT = text(
    "WITH written AS (INSERT INTO outbox (type, organization_id, payload, origin)"
    " VALUES (:type, :organization_id, CAST(:payload AS jsonb), CAST(:origin AS jsonb)))"
    f" SELECT pg_notify('{CHANNEL}', '')"
)
_COLUMNS = "xid::text AS x, id, type, organization_id, payload::text AS payload, origin::text AS origin, created_at"
# Only what is below every transaction that still runs is shown: a late commit can never fall behind a cursor.
# The alias of xid must not be `xid`, or ORDER BY would sort its text.
_GATED = (
    f"SELECT {_COLUMNS} FROM outbox WHERE (xid, id) > ($1::text::xid8, $2)"
    " AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY outbox.xid, outbox.id LIMIT $3"
)
_HELD_BACK = (
    "SELECT EXISTS (SELECT 1 FROM outbox WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()))"
)
# Whatever the snapshot of the previous read could not see has an xid of at least that snapshot's xmin.
# The mark moves on even when there was nothing of these types, or the reading would grow and grow.
_UNGATED = (
    f"SELECT now.seen, {_COLUMNS} FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS seen) AS now"
    " LEFT JOIN outbox ON xid >= $1::text::xid8 AND (cardinality($2::text[]) = 0 OR type = ANY($2::text[]))"
    " ORDER BY outbox.xid, outbox.id"
)
_NOW = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
_PURGE = f"""
WITH old AS (DELETE FROM outbox WHERE created_at < now() - interval '{KEPT_DAYS} days' RETURNING xid, id)
UPDATE outbox_horizon SET xid = last.xid, id = last.id
FROM (SELECT xid, id FROM old ORDER BY xid DESC, id DESC LIMIT 1) AS last
WHERE (last.xid, last.id) > (outbox_horizon.xid, outbox_horizon.id)
"""


class CursorInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "CURSOR_INVALID"


class CursorExpired(Refusal):
    kind, reason = Kind.OUT_OF_RANGE, "CURSOR_EXPIRED"


@dataclass(frozen=True, slots=True)
class Row:
    """An event as it is stored."""

    cursor: str
    type: str
    organization_id: str
    payload: str
    origin: str
    created_at: datetime


async def announce(session: AsyncSession, *events: Any, organization_id: object = None) -> None:
    """Write dataclasses as events; a class name is the event's type (`ApiKeyDeleted` → `api_key_deleted`)."""
    organization = None if organization_id is None else str(organization_id)
    rows = []
    for event in events:
        type_, payload, origin = encode(event)
        values = {"type": type_, "payload": payload, "origin": origin}
        rows.append({**values, "organization_id": organization})
    if rows:
        await session.execute(_INSERT, rows)


def encode(event: Any) -> tuple[str, str, str]:
    """Return (type, payload, origin) of an event, for statements that write the row themselves."""
    payload = _encode(event).decode()
    return _type_of(type(event).__name__), payload, _encode(current_origin.get()).decode()


@cache
def _type_of(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


Read: TypeAlias = tuple[list[Row], bool]


class Feed:
    """The ordered read of one context's outbox."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._beginning: dict[tuple[tuple[str, int], int], asyncio.Task[Read]] = {}

    async def start(self, cursor: str) -> tuple[str, int]:
        """Return the position behind `cursor` (empty: the oldest kept)."""
        horizon = await self._pool.fetchrow("SELECT xid::text AS x, id FROM outbox_horizon")
        if horizon is None:
            raise RuntimeError("outbox_horizon has no row: the database was not migrated")
        oldest = (horizon["x"], horizon["id"])
        if not cursor:
            return oldest
        if order_of(cursor) < (int(oldest[0]), oldest[1]):
            raise CursorExpired("the cursor is older than what is kept", cursor=cursor)
        return _parse(cursor)

    async def read(self, after: tuple[str, int], limit: int = 500) -> Read:
        """Return the next events, and whether, when there are none, some are there that must not be shown yet.

        Those who were woken together and are at the same place share one reading.
        """
        place = (after, limit)
        reading = self._beginning.get(place)
        if reading is None:
            reading = self._beginning[place] = asyncio.create_task(self._read(*place))
        return await asyncio.shield(reading)

    async def _read(self, after: tuple[str, int], limit: int) -> Read:
        # What has begun may have missed what the next to come was woken for.
        del self._beginning[after, limit]
        async with self._pool.acquire() as connection:
            records = await connection.fetch(_GATED, *after, limit)
            held_back = not records and await connection.fetchval(_HELD_BACK)
        return [_row(r) for r in records], bool(held_back)

    async def now(self) -> str:
        """Return the mark from which an ungated reading starts: everything committed later is seen."""
        mark: str = await self._pool.fetchval(_NOW)
        return mark

    async def read_ungated(self, mark: str, types: Sequence[str] = ()) -> tuple[list[Row], str]:
        """Return what was committed since `mark` at once, unordered and now and then twice, and the next mark.

        Of these types only, if there are any.
        """
        records = await self._pool.fetch(_UNGATED, mark, types)
        return [_row(r) for r in records if r["id"] is not None], records[0]["seen"]

    async def purge(self) -> None:
        """Forget what is older than a feed keeps."""
        await self._pool.execute(_PURGE)


def position_of(row: Row) -> tuple[str, int]:
    return _parse(row.cursor)


def order_of(cursor: str) -> tuple[int, int]:
    """Return what orders cursors of one feed: greater is later."""
    xid, id_ = _parse(cursor)
    return int(xid), id_


def _parse(cursor: str) -> tuple[str, int]:
    match = re.fullmatch(r"(\d{1,20})-(\d{1,19})", cursor)
    if match is None:
        raise CursorInvalid("the cursor is not one of this feed", cursor=cursor)
    return match[1], int(match[2])


def _row(r: Any) -> Row:
    return Row(
        f"{r['x']}-{r['id']}",
        r["type"],
        r["organization_id"] or "",
        r["payload"],
        r["origin"],
        r["created_at"],
    )
