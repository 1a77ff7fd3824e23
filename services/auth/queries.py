"""Reads, each one statement on a plain connection; none changes a row."""

from dataclasses import dataclass
from typing import Any

from chassis.db import Pool
from services.auth.domain.api_keys import ApiKey
from services.auth.domain.people import Person, SystemRole

_KEY = (
    "k.id::text, k.organization_id::text, k.user_id, k.name, k.permissions, k.prefix, k.suffix,"
    " k.created_at, k.system_admin, k.expires_at, k.last_used_at"
)
_KEY_WIDTH = 11
_PERSON = (
    "u.id, u.name, u.email, u.email_verified, u.created_at, u.updated_at, u.system_role, u.local,"
    " u.settled, u.claims_at"
)
_ESTABLISHED = (
    f"SELECT {_KEY}, {_PERSON} FROM api_keys k JOIN users u ON u.id = k.user_id"
    " WHERE k.secret = $1 AND (k.expires_at IS NULL OR k.expires_at > now())"
)
_LATEST_FIRST = "ORDER BY k.last_used_at DESC NULLS LAST, k.created_at DESC, k.id"
_ALL_KEYS = f"SELECT {_KEY} FROM api_keys k WHERE k.organization_id = $1::uuid {_LATEST_FIRST}"
_KEYS = (
    f"SELECT {_KEY} FROM api_keys k WHERE k.organization_id = $1::uuid AND k.user_id = $2"
    f" {_LATEST_FIRST}"
)
_NAMED = (
    f"SELECT {_KEY} FROM api_keys k"
    " WHERE k.organization_id = $1::uuid AND k.user_id = $2 AND k.name = $3"
)
_USER = f"SELECT {_PERSON} FROM users u WHERE u.id = $1"
_LOCAL_USER = f"SELECT {_PERSON} FROM users u WHERE lower(u.email) = lower($1) AND u.local"
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


async def established(pool: Pool, digest: bytes) -> tuple[ApiKey, Person] | None:
    """Return the key with that secret, if it is still good, and its holder."""
    record = await pool.fetchrow(_ESTABLISHED, digest)
    return (_key(record), _person(record[_KEY_WIDTH:])) if record else None


async def keys(pool: Pool, organization_id: str, user_id: str | None) -> list[ApiKey]:
    """Return the organization's keys: all of them, or the ones that `user_id` holds."""
    if user_id is None:
        return [_key(r) for r in await pool.fetch(_ALL_KEYS, organization_id)]
    return [_key(r) for r in await pool.fetch(_KEYS, organization_id, user_id)]


async def key_named(pool: Pool, organization_id: str, user_id: str, name: str) -> ApiKey | None:
    if "\0" in name:  # nothing that the database could compare
        return None
    record = await pool.fetchrow(_NAMED, organization_id, user_id, name)
    return _key(record) if record else None


async def person(pool: Pool, user_id: str) -> Person | None:
    record = await pool.fetchrow(_USER, user_id)
    return _person(record) if record else None


async def local_person(pool: Pool, email: str) -> Person | None:
    """Return the user made here with that address, however it is capitalized."""
    if "\0" in email:
        return None
    record = await pool.fetchrow(_LOCAL_USER, email)
    return _person(record) if record else None


async def revocation_mark(pool: Pool) -> str:
    """Return the mark from which every revocation that commits later is seen."""
    mark: str = await pool.fetchval(_MARK)
    return mark


async def revoked_since(pool: Pool, mark: str) -> tuple[list[tuple[str, Revoked]], str]:
    """Return what was revoked since `mark`, by row, whatever else still runs and now and then twice; and the next mark."""
    records = await pool.fetch(_REVOKED, mark)
    rows = [(str(r[1]), Revoked(*r[2:])) for r in records if r[1] is not None]
    return rows, records[0][0]


def _key(r: Any) -> ApiKey:
    return ApiKey(
        id=r[0],
        organization_id=r[1],
        user_id=r[2],
        name=r[3],
        permissions=tuple(r[4]),
        prefix=r[5],
        suffix=r[6],
        created_at=r[7],
        system_admin=r[8],
        expires_at=r[9],
        last_used_at=r[10],
    )


def _person(r: Any) -> Person:
    return Person(
        id=r[0],
        name=r[1],
        email=r[2],
        email_verified=r[3],
        created_at=r[4],
        updated_at=r[5],
        system_role=SystemRole(r[6]),
        local=r[7],
        settled=r[8],
        claims_at=r[9],
    )
