"""Reads of people."""

from chassis.db import Pool
from chassis.pages import PageTokenInvalid, position_of, token_of
from services.auth.domain.people import Person
from services.auth.queries import rows

_USER = f"SELECT {rows.PERSON} FROM users u WHERE u.id = $1"
_LOCAL_USER = f"SELECT {rows.PERSON} FROM users u WHERE lower(u.email) = lower($1) AND u.local"
_MICROS = "(extract(epoch FROM u.created_at) * 1000000)::bigint"
_PEOPLE = f"SELECT {rows.PERSON}, {_MICROS} FROM users u WHERE NOT u.service_account"
_IN_ORDER = "ORDER BY u.created_at, u.id LIMIT $1"
_FIRST = f"{_PEOPLE} {_IN_ORDER}"
# PostgreSQL stores whole microseconds, and counts of them that a double can hold go there and back without loss.
_NEXT = (
    f"{_PEOPLE} AND (u.created_at, u.id) > (timestamptz 'epoch' + $2::bigint * interval '1 microsecond', $3)"
    f" {_IN_ORDER}"
)
_LATEST = 2**53


async def get(pool: Pool, user_id: str) -> Person | None:
    if "\0" in user_id:  # nothing that the database could compare
        return None
    record = await pool.fetchrow(_USER, user_id)
    return rows.person(record) if record else None


async def local(pool: Pool, email: str) -> Person | None:
    """Return the user made here with that address, however it is capitalized."""
    if "\0" in email:
        return None
    record = await pool.fetchrow(_LOCAL_USER, email)
    return rows.person(record) if record else None


async def page(pool: Pool, size: int, token: str) -> tuple[list[Person], str]:
    """Return people, oldest first, and where the page ended (empty: there are no more).

    Refused with PAGE_TOKEN_INVALID.
    """
    after = position_of(token, int, str)
    if after and not 0 <= after[0] < _LATEST:
        raise PageTokenInvalid
    limit = size + 1 if size > 0 else None
    records = await pool.fetch(_NEXT if after else _FIRST, limit, *(after or ()))
    people = [rows.person(r) for r in records]
    if limit is None or len(records) < limit:
        return people, ""
    return people[:size], token_of(records[size - 1][-1], people[size - 1].id)
