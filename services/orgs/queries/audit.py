"""Pages of the audit log, newest first; costs do not grow with what is skipped past.

Counters by day and hour say in which hour a page begins, so that at most that hour is walked, in an index; only the
page's own rows are then looked up. What is filtered is counted exactly, by looking at all there is of it.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db import Pool
from services.orgs.domain.audit import Filter
from services.orgs.queries.audit_filter import conditions
from services.orgs.queries.columns import micros

EVERYBODY = UUID(int=0)
COLUMNS = f"""\
r.id::text, {micros("r.created_at")}, coalesce(r.organization_id::text, ''), r.status_code,
coalesce(r.metadata::text, ''), r.actor_id, r.actor_email, r.actor_api_key_prefix, r.actor_api_key_suffix,
r.action, r.target_type, r.target_id, r.error_message, r.ip_address, r.user_agent, r.source"""
ID, CREATED = 0, 1
# Planned for what is asked, for how much there is says only the organization; and the rows of a page are looked up one
# by one, whatever the statistics say at that moment.
PLAN = "; ".join(
    f"SET LOCAL {setting}"
    for setting in (
        "plan_cache_mode = force_custom_plan",
        "max_parallel_workers_per_gather = 0",
        "enable_hashjoin = off",
        "enable_mergejoin = off",
    )
)
_TOTAL = (
    "coalesce((SELECT records FROM audit_counts WHERE organization_id = $1 AND span = 'ever'), 0)"
)
_ORDER = "ORDER BY r.created_at DESC, r.id DESC"

Position = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page: so many, after a position or else after so many."""

    limit: int
    skip: int = 0
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of COLUMNS, how many all pages have, and whether there are more behind this one."""

    rows: list[Any]
    total: int
    more: bool


async def page(pool: Pool, whose: UUID, wanted: Wanted, filter_: Filter) -> Page:
    """Return a page of the log of an organization, or of EVERYBODY."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(PLAN)
        if filter_:
            rows, total = await _filtered(connection, whose, wanted, filter_)
        else:
            rows, total = await _plain(connection, whose, wanted)
    return Page(rows[: wanted.limit], total, len(rows) > wanted.limit)


async def _plain(connection: Any, whose: UUID, wanted: Wanted) -> tuple[list[Any], int]:
    # One more than is wanted, which tells that there is more.
    asked = (whose, wanted.limit + 1)
    if wanted.after is None:
        rows = await connection.fetch(_counted(whose == EVERYBODY), *asked, wanted.skip)
    else:
        rows = await connection.fetch(_behind(whose == EVERYBODY), *asked, *wanted.after)
    if rows:
        return [r[1:] for r in rows], rows[0][0]
    return [], await connection.fetchval(f"SELECT {_TOTAL}", whose)


async def _filtered(
    connection: Any, whose: UUID, wanted: Wanted, filter_: Filter
) -> tuple[list[Any], int]:
    given, values = conditions(filter_, first=4)
    behind, skip = "true", wanted.skip
    if wanted.after is not None:
        behind, skip = f"(r.created_at, r.id) < (${len(values) + 4}, ${len(values) + 5})", 0
        values = [*values, *wanted.after]
    scope = " AND ".join((_scope(whose == EVERYBODY), *given))
    template = _MATCHING if filter_.texts or filter_.status_codes else _WITHIN
    statement = template.format(scope=scope, behind=behind)
    rows = await connection.fetch(statement, whose, wanted.limit + 1, skip, *values)
    # Every row begins with the count; where nothing is on the page, there is one row of nothing else.
    return [r[1:] for r in rows if r[1] is not None], rows[0][0]


_PAGE = f"""
SELECT c.total, {COLUMNS} FROM (SELECT count(*) AS total FROM {{counted}}) AS c
LEFT JOIN (k JOIN audit_records AS r USING (id)) ON true {_ORDER}
"""
# Whether a row matches is looked up once.
_MATCHING = f"""
WITH m AS MATERIALIZED (SELECT r.created_at, r.id FROM audit_records AS r WHERE {{scope}}),
k AS MATERIALIZED (SELECT r.id FROM m AS r WHERE {{behind}} {_ORDER} LIMIT $2 OFFSET $3::bigint)
{_PAGE.format(counted="m")}"""
# What lies between moments is told by the index alone.
_WITHIN = f"""
WITH k AS MATERIALIZED (
    SELECT r.id FROM audit_records AS r WHERE {{scope}} AND {{behind}} {_ORDER} LIMIT $2 OFFSET $3::bigint)
{_PAGE.format(counted="audit_records AS r WHERE {scope}")}"""


def _scope(everybody: bool) -> str:
    # What is true of all records opens the index of all.
    return "$1::uuid IS NOT NULL AND r.status_code >= 0" if everybody else "r.organization_id = $1"


@cache
def _counted(everybody: bool) -> str:
    """Return the statement of a page after so many rows."""
    return f"""
WITH day AS MATERIALIZED (
    SELECT start, upto - records AS passed FROM (
        SELECT start, records, sum(records) OVER (ORDER BY start DESC) AS upto
        FROM audit_counts WHERE organization_id = $1 AND span = 'day') AS d
    WHERE upto > $3::bigint ORDER BY start DESC LIMIT 1),
hour AS MATERIALIZED (
    SELECT start, upto - records AS passed FROM (
        SELECT c.start, c.records, day.passed + sum(c.records) OVER (ORDER BY c.start DESC) AS upto
        FROM day, audit_counts AS c WHERE c.organization_id = $1 AND c.span = 'hour'
        AND c.start >= day.start AND c.start < day.start + interval '1 day') AS h
    WHERE upto > $3::bigint ORDER BY start DESC LIMIT 1),
k AS MATERIALIZED (
    SELECT r.id FROM audit_records AS r
    WHERE {_scope(everybody)} AND r.created_at < (SELECT start + interval '1 hour' FROM hour)
    {_ORDER} LIMIT $2 OFFSET (SELECT ($3::bigint - passed)::bigint FROM hour))
SELECT {_TOTAL}, {COLUMNS} FROM k JOIN audit_records AS r ON r.id = k.id {_ORDER}
"""


@cache
def _behind(everybody: bool) -> str:
    """Return the statement of a page after a position."""
    return f"""
SELECT {_TOTAL}, {COLUMNS} FROM audit_records AS r
WHERE {_scope(everybody)} AND (r.created_at, r.id) < ($3, $4) {_ORDER} LIMIT $2
"""
