"""A page of an organization's snapshots: its own, those shared with it, the general ones.

Costs do not grow with what is skipped past of its own; what is shared with it is sorted each time, as it is not much.

The total comes from the organization's counter, in the same statement or snapshot of the database. A page far from
the start is found by walking an index from the nearer end, and only its own rows are then looked up.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from uuid import UUID

from chassis.db import Pool
from services.snapshots.domain import NAME_LENGTH
from services.snapshots.queries.rows import COLUMNS, WIDTH, Row, columns
from services.snapshots.queries.shares import LIVING

_SHALLOW = 1000
TOTAL = WIDTH
_GRAM = 3


class Sort(IntEnum):
    """What to sort by, numbered as in the contract."""

    NAME = 1
    STATE = 2
    LAST_USED = 3
    CREATED = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page. Empty filters filter nothing."""

    limit: int
    skip: int
    sort: Sort
    ascending: bool
    name_contains: str
    source_sandbox_id: str


def is_costly(wanted: Wanted) -> bool:
    """Tell whether a page is searched for or far from the start."""
    filtered = wanted.name_contains or wanted.source_sandbox_id
    return bool(filtered) or wanted.skip + wanted.limit > _SHALLOW


class Pages:
    """Reads pages: the usual ones by one pool, by another and smaller one those that cost more."""

    def __init__(self, hot: Pool, heavy: Pool) -> None:
        self._hot = hot
        self._heavy = heavy

    async def read(self, organization_id: UUID, wanted: Wanted) -> tuple[list[Row], int]:
        """Return the rows of the page and how many rows all pages have."""
        if wanted.name_contains or wanted.source_sandbox_id:
            return await self._filtered(organization_id, wanted)
        if is_costly(wanted):
            return await self._deep(organization_id, wanted)
        statement = _plain(wanted.sort, wanted.ascending)
        rows = await self._hot.fetch(statement, organization_id, wanted.limit, wanted.skip)
        if rows:
            return rows, rows[0][TOTAL]
        (counts,) = await self._hot.fetch(_TOTALS, organization_id)
        return [], sum(counts)

    async def _filtered(self, organization_id: UUID, wanted: Wanted) -> tuple[list[Row], int]:
        filters = (wanted.name_contains, wanted.source_sandbox_id)
        if any("\0" in f or len(f) > NAME_LENGTH for f in filters):
            return [], 0
        grams = len(wanted.name_contains) >= _GRAM
        given = tuple(map(bool, filters))
        arguments = [organization_id, wanted.limit, wanted.skip, *(f for f in filters if f)]
        async with self._heavy.acquire() as connection:
            page, count = _matching(wanted.sort, wanted.ascending, *given, grams)
            rows = await connection.fetch(page, *arguments)
            if rows:
                return rows, rows[0][TOTAL]
            if not wanted.skip:
                return [], 0
            return [], await connection.fetchval(count, *arguments)

    async def _deep(self, organization_id: UUID, wanted: Wanted) -> tuple[list[Row], int]:
        async with (
            self._heavy.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            ((own, shared, general),) = await connection.fetch(_TOTALS, organization_id)
            here = max(0, min(wanted.limit, own - wanted.skip))
            rows: list[Row] = []
            if here:
                behind = own - wanted.skip - here
                backwards = behind < wanted.skip
                statement = _far(wanted.sort, wanted.ascending, backwards)
                skip = behind if backwards else wanted.skip
                rows = await connection.fetch(statement, organization_id, here, skip)
            if len(rows) < wanted.limit and shared:
                beyond, left = max(0, wanted.skip - own), wanted.limit - len(rows)
                statement = _shared(wanted.sort, wanted.ascending)
                rows += await connection.fetch(statement, organization_id, left, beyond)
            if len(rows) < wanted.limit and general:
                beyond, left = max(0, wanted.skip - own - shared), wanted.limit - len(rows)
                statement = _general(wanted.sort, wanted.ascending)
                rows += await connection.fetch(statement, left, beyond)
            return rows, own + shared + general


_OWN = "s.organization_id = $1 AND NOT s.general"
_SHARED = (
    "FROM shares AS h JOIN snapshots AS s ON s.id = h.snapshot_id"
    f" WHERE h.receiver_id = $1 AND {LIVING} AND NOT s.general"
)
_SHARED_COLUMNS = columns("s.may_use")
_TOTALS = f"""
SELECT coalesce((SELECT total FROM usage WHERE organization_id = $1), 0),
    (SELECT count(*) {_SHARED}),
    (SELECT count(*) FROM snapshots AS s WHERE s.general)"""


def _fill(before: str) -> str:
    """What comes before is few beside the page or many beside it: what follows fills what that leaves."""
    return f"LIMIT greatest(0, $2 - greatest(0, {before} - $3)) OFFSET greatest(0, $3 - ({before}))"


_FILL_SHARED, _FILL_GENERAL = _fill("c.own"), _fill("c.own + c.shared")
_ALL = "c.own + c.shared + c.general"


def _keys(sort: Sort, ascending: bool) -> list[tuple[str, bool]]:
    """Return columns and whether each ascends. Ties: the newest first, then by id; NULLs are last either way."""
    if sort is Sort.NAME:
        return [("name", ascending)]
    if sort is Sort.CREATED:
        return [("created_at", ascending), ("id", not ascending)]
    column = "state_rank" if sort is Sort.STATE else "last_used_at"
    return [(column, ascending), ("created_at", False), ("id", True)]


def _order(sort: Sort, ascending: bool, *, flip: bool = False, unique: bool = True) -> str:
    """Write the ORDER BY; `flip`: exactly the reverse. Not `unique`: names may occur more than once."""
    keys = _keys(sort, ascending)
    if not unique and sort is Sort.NAME:
        keys += [("created_at", False), ("id", True)]
    return "ORDER BY " + ", ".join(_term(column, up, flip) for column, up in keys)


def _term(column: str, up: bool, flip: bool) -> str:
    nulls = ("FIRST" if flip else "LAST") if column == "last_used_at" else ""
    return f"s.{column} {'ASC' if up != flip else 'DESC'}" + (f" NULLS {nulls}" if nulls else "")


@cache
def _plain(sort: Sort, ascending: bool) -> str:
    order = _order(sort, ascending, unique=False)
    return f"""
WITH c (own, shared, general) AS MATERIALIZED ({_TOTALS})
SELECT {COLUMNS}, {_ALL} FROM (
    SELECT * FROM snapshots AS s WHERE {_OWN} {_order(sort, ascending)} LIMIT $2 OFFSET $3) AS s, c
UNION ALL
SELECT {_SHARED_COLUMNS}, {_ALL} FROM c, LATERAL (SELECT s.*, h.may_use {_SHARED} {order} {_FILL_SHARED}) AS s
UNION ALL
SELECT {COLUMNS}, {_ALL} FROM c, LATERAL (
    SELECT * FROM snapshots AS s WHERE s.general {order} {_FILL_GENERAL}) AS s"""


@cache
def _far(sort: Sort, ascending: bool, backwards: bool) -> str:
    return f"""
WITH k AS MATERIALIZED (
    SELECT s.id FROM snapshots AS s WHERE {_OWN} {_order(sort, ascending, flip=backwards)} LIMIT $2 OFFSET $3)
SELECT {COLUMNS} FROM k JOIN snapshots AS s ON s.id = k.id {_order(sort, ascending)}"""


@cache
def _general(sort: Sort, ascending: bool) -> str:
    order = _order(sort, ascending, unique=False)
    return f"SELECT {COLUMNS} FROM snapshots AS s WHERE s.general {order} LIMIT $1 OFFSET $2"


@cache
def _shared(sort: Sort, ascending: bool) -> str:
    order = _order(sort, ascending, unique=False)
    return f"SELECT {columns('h.may_use')} {_SHARED} {order} LIMIT $2 OFFSET $3"


@cache
def _matching(
    sort: Sort, ascending: bool, by_name: bool, by_source: bool, grams: bool
) -> tuple[str, str]:
    """Return the statements for a filtered page and for its total alone."""
    # The text is searched as it is: no character of it is a wildcard.
    conditions = ['strpos(lower(s.name), lower($4::text COLLATE "C")) > 0'] if by_name else []
    if by_source:
        sandbox = f"${4 + by_name}"
        conditions.append(f"s.source_sandbox_id = {sandbox} AND s.source_sandbox_id <> ''")
    matches = " AND ".join(conditions)
    # Which sandbox it was captured from is its owner's to know.
    shared = _SHARED + (" AND false" if by_source else f" AND {matches}")
    found = f"{_OWN} AND {matches}"
    if grams:
        found += " AND name_grams(s.organization_id, s.name) @> name_grams($1, $4)"
    keys = ", ".join(f"s.{column}" for column, _ in _keys(sort, ascending) if column != "id")
    order = _order(sort, ascending, unique=False)
    counted = f"""
WITH m AS MATERIALIZED (SELECT s.id, {keys} FROM snapshots AS s WHERE {found})
, c (own, shared, general) AS MATERIALIZED (
    SELECT (SELECT count(*) FROM m), (SELECT count(*) {shared}),
        (SELECT count(*) FROM snapshots AS s WHERE s.general AND {matches}))"""
    page = f"""{counted}
(SELECT {COLUMNS}, {_ALL} FROM (
    SELECT s.id FROM m AS s {_order(sort, ascending)} LIMIT $2 OFFSET $3) AS k
    JOIN snapshots AS s ON s.id = k.id, c {_order(sort, ascending)})
UNION ALL
SELECT {_SHARED_COLUMNS}, {_ALL} FROM c, LATERAL (SELECT s.*, h.may_use {shared} {order} {_FILL_SHARED}) AS s
UNION ALL
SELECT {COLUMNS}, {_ALL} FROM c, LATERAL (
    SELECT * FROM snapshots AS s WHERE s.general AND {matches} {order} {_FILL_GENERAL}) AS s"""
    return page, f"{counted} SELECT {_ALL} + 0 * $2::int + 0 * $3::bigint FROM c"
