"""The audit log written and, with age, forgotten; its counters are kept by the database in the same transaction."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from services.orgs.domain.audit import Record

_COLUMNS = tuple(f.name for f in fields(Record))
_TYPES = {
    "id": "uuid",
    "created_at": "timestamptz",
    "organization_id": "uuid",
    "status_code": "integer",
}
_BATCH = 5_000
# Sorted by id, so that two who write the same records cannot wait for each other.
_WRITE = text(f"""
INSERT INTO audit_records ({", ".join(_COLUMNS)})
SELECT {", ".join("r.metadata::jsonb" if c == "metadata" else f"r.{c}" for c in _COLUMNS)}
FROM unnest({", ".join(f"CAST(:{c} AS {_TYPES.get(c, 'text')}[])" for c in _COLUMNS)}) AS r ({", ".join(_COLUMNS)})
ORDER BY r.id
ON CONFLICT (id) DO NOTHING
""")
_ALLOW = text("SET LOCAL ratoon.forgetting = 'on'")
_FORGET = text("""
WITH old AS (
    SELECT id FROM audit_records WHERE created_at < :before AND status_code >= 0 ORDER BY created_at, id LIMIT :limit
    FOR UPDATE SKIP LOCKED)
DELETE FROM audit_records AS r USING old WHERE r.id = old.id
""")


async def write(session: AsyncSession, records: Iterable[Record]) -> None:
    """Write lines; those that are there already change nothing and are not counted again."""
    # One statement may not meet the same id twice.
    rows = list({record.id: record for record in records}.values())
    if rows:
        await session.execute(_WRITE, {c: [getattr(r, c) for r in rows] for c in _COLUMNS})


async def forget(sessions: Sessions, days: int) -> None:
    """Forget what is older, some at a time, so that nobody who writes has to wait."""
    before = datetime.now(UTC) - timedelta(days=days)
    while True:
        async with sessions.begin() as session:
            await session.execute(_ALLOW)
            gone = await session.execute(_FORGET, {"before": before, "limit": _BATCH})
        if gone.rowcount < _BATCH:  # type: ignore[attr-defined]  # a DELETE has one
            return
