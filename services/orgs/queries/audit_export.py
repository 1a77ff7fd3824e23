"""The audit log of an organization from its oldest record to its newest, in steps of bounded cost."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chassis.db import Pool
from services.orgs.domain.audit import Comparison, Filter
from services.orgs.queries.audit import COLUMNS, PLAN, Position
from services.orgs.queries.audit_filter import conditions

# Records looked at in a step; with a filter few of them may be wanted.
_STEP, _FILTERED_STEP = 500, 5_000
_FIRST_ID, _LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
_BEGINNING = (datetime(1, 1, 2, tzinfo=UTC), _FIRST_ID)
_NEWEST = """
SELECT r.created_at, r.id FROM audit_records AS r WHERE r.organization_id = $1
ORDER BY r.created_at DESC, r.id DESC LIMIT 1
"""
_BETWEEN = "r.organization_id = $1 AND (r.created_at, r.id) > ($2, $3) AND (r.created_at, r.id) <= ($4, $5)"
_ORDER = "ORDER BY r.created_at, r.id"
_END = f"SELECT r.created_at, r.id FROM audit_records AS r WHERE {_BETWEEN} {_ORDER} LIMIT 1 OFFSET"


async def export(pool: Pool, organization_id: UUID, filter_: Filter) -> AsyncIterator[list[Any]]:
    """Yield the rows that the filter lets through, some at a time, up to what is the newest now."""
    newest = await pool.fetchrow(_NEWEST, organization_id)
    if newest is None:
        return
    at, last = _ends(filter_, (newest["created_at"], newest["id"]))
    while at < last:
        rows, at = await _step(pool, organization_id, filter_, at, last)
        if rows:
            yield rows


async def _step(
    pool: Pool, organization_id: UUID, filter_: Filter, after: Position, last: Position
) -> tuple[list[Any], Position]:
    """Return the rows of the next step, and where it ended."""
    size = _FILTERED_STEP if filter_ else _STEP
    wanted, values = conditions(filter_, first=6)
    matching = " AND ".join((_BETWEEN, *wanted))
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(PLAN)
        found = await connection.fetchrow(f"{_END} {size - 1}", organization_id, *after, *last)
        end = last if found is None else (found["created_at"], found["id"])
        statement = f"SELECT {COLUMNS} FROM audit_records AS r WHERE {matching} {_ORDER}"
        rows = await connection.fetch(statement, organization_id, *after, *end, *values)
    return rows, end


def _ends(filter_: Filter, newest: Position) -> tuple[Position, Position]:
    """Return from where to where records are looked at: no further than the filter's moments reach."""
    lower, upper = _BEGINNING, newest
    for moment in filter_.moments:
        if moment.comparison in (Comparison.AT_LEAST, Comparison.MORE):
            lower = max(lower, (moment.at, _FIRST_ID))
        else:
            upper = min(upper, (moment.at, _LAST_ID))
    return lower, upper
