"""Reads of keys."""

from datetime import datetime

from chassis.db import Pool
from chassis.pages import PageTokenInvalid, position_of, token_of
from services.auth.domain.access import is_uuid
from services.auth.domain.api_keys import ApiKey
from services.auth.domain.people import Person
from services.auth.queries import rows

# By either secret: the one before the last rotation works on until its time is over, and never longer than the key.
_ESTABLISHED = (
    f"SELECT {rows.KEY}, {rows.PERSON}, k.secret = $1 FROM api_keys k JOIN users u ON u.id = k.user_id"
    " WHERE (k.secret = $1 OR (k.previous_secret = $1 AND k.previous_expires_at > now()))"
    " AND (k.expires_at IS NULL OR k.expires_at > now()) AND u.disabled_at IS NULL"
)
_NAMED = (
    f"SELECT {rows.KEY} FROM api_keys k"
    " WHERE k.organization_id = $1::uuid AND k.user_id = $2 AND k.name = $3"
)


def _micros(column: str) -> str:
    return f"(extract(epoch FROM {column}) * 1000000)::bigint"


# The order as ascending numbers, so that a position is one comparison of rows: latest used first, never used last.
_ORDER = f"-coalesce({_micros('k.last_used_at')}, -1), -{_micros('k.created_at')}, k.id"
_PAGE = f"""
SELECT {rows.KEY}, {_ORDER} FROM api_keys k
WHERE k.organization_id = $1::uuid AND ($2::text = '' OR k.user_id = $2)
    AND ($3::int = 0 OR coalesce(k.last_used_at, k.created_at) < now() - make_interval(days => $3::int))
    AND ($4::bigint IS NULL OR ({_ORDER}) > ($4::bigint, $5::bigint, $6::uuid))
ORDER BY {_ORDER} LIMIT $7
"""


async def established(pool: Pool, digest: bytes) -> tuple[ApiKey, Person, datetime | None] | None:
    """Return the key with that secret, if it is still good, its holder, and when the secret ends by itself."""
    record = await pool.fetchrow(_ESTABLISHED, digest)
    if record is None:
        return None
    key, person = rows.key(record), rows.person(record[rows.KEY_WIDTH :])
    ends = [key.expires_at] if record[-1] else [key.expires_at, key.previous_expires_at]
    return key, person, min((e for e in ends if e), default=None)


async def page(
    pool: Pool,
    organization_id: str,
    user_id: str,
    *,
    unused_days: int = 0,
    size: int = 0,
    token: str = "",
) -> tuple[list[ApiKey], str]:
    """Return keys of the organization, of one holder or (empty) of all, and where the page ended (empty: at the end).

    Refused with PAGE_TOKEN_INVALID.
    """
    after = position_of(token, int, int, str)
    if after and not is_uuid(after[2]):
        raise PageTokenInvalid
    if "\0" in user_id:  # nothing that the database could compare
        return [], ""
    limit = size + 1 if size > 0 else None
    which = (organization_id, user_id, unused_days)
    records = await pool.fetch(_PAGE, *which, *(after or (None, None, None)), limit)
    keys = [rows.key(r) for r in records]
    if limit is None or len(records) < limit:
        return keys, ""
    used, created, id_ = records[size - 1][rows.KEY_WIDTH :]
    return keys[:size], token_of(used, created, str(id_))


async def named(pool: Pool, organization_id: str, user_id: str, name: str) -> ApiKey | None:
    if "\0" in name:  # nothing that the database could compare
        return None
    record = await pool.fetchrow(_NAMED, organization_id, user_id, name)
    return rows.key(record) if record else None
