"""Keys made, once or repeatably, and the times of their use."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import secrets
from chassis.db import Pool
from chassis.idempotency import record, replay
from chassis.outbox import CHANNEL, encode
from services.auth.domain.api_keys import (
    ApiKey,
    Draft,
    NameTaken,
    TooManyUses,
    digest,
    prefix_of,
    suffix_of,
)
from services.auth.domain.events import ApiKeyCreated

MOST_USES = 1000
_FIELDS = (
    *("id", "organization_id", "user_id", "name", "secret", "prefix", "suffix", "permissions"),
    *("system_admin", "expires_at", "type", "payload", "origin"),
)
# Key, event and wake-up in one statement: one round trip, one transaction. A taken name inserts nothing at all.
_CREATE = f"""
WITH made AS (
    INSERT INTO api_keys (id, organization_id, user_id, name, secret, prefix, suffix, permissions, system_admin,
                          expires_at)
    VALUES ({{id}}, CAST({{organization_id}} AS uuid), {{user_id}}, {{name}}, {{secret}}, {{prefix}}, {{suffix}},
            {{permissions}}, {{system_admin}}, {{expires_at}})
    ON CONFLICT (organization_id, user_id, name) DO NOTHING RETURNING created_at
), told AS (
    INSERT INTO outbox (type, organization_id, payload, origin)
    SELECT {{type}}, CAST({{organization_id}} AS uuid)::text, CAST(CAST({{payload}} AS text) AS jsonb),
           CAST(CAST({{origin}} AS text) AS jsonb) FROM made
)
SELECT created_at, pg_notify('{CHANNEL}', '') FROM made
"""
_HOT = _CREATE.format(**{field: f"${i}" for i, field in enumerate(_FIELDS, 1)})
_IN_SESSION = text(_CREATE.format(**{field: f":{field}" for field in _FIELDS}))
# Locked in one order, so that two reports of the same keys cannot stop each other.
_USED = """
WITH used AS (SELECT id, at FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, at)),
locked AS (SELECT id FROM api_keys WHERE id IN (SELECT id FROM used) ORDER BY id FOR NO KEY UPDATE)
UPDATE api_keys k SET last_used_at = GREATEST(k.last_used_at, LEAST(used.at, now()))
FROM used JOIN locked USING (id)
WHERE k.id = used.id AND (k.last_used_at IS NULL OR k.last_used_at < used.at)
"""


class _Answer(msgspec.Struct):
    """What is kept of an answer that may have to be repeated: everything but the secret."""

    key: ApiKey
    nonce: str
    signed_by: str


async def create(pool: Pool, draft: Draft) -> tuple[ApiKey, str]:
    """Make the key; return it and its secret. Refused with API_KEY_NAME_TAKEN."""
    secret = secrets.fresh()
    id_ = uuid4()
    made = await pool.fetchrow(_HOT, *_values(id_, draft, secret))
    return _made(id_, draft, secret, made[0] if made else None), secret


async def add(session: AsyncSession, draft: Draft, secret: str) -> ApiKey:
    """Make the key with that secret in the caller's transaction. Refused with API_KEY_NAME_TAKEN."""
    id_ = uuid4()
    values = dict(zip(_FIELDS, _values(id_, draft, secret), strict=True))
    made = (await session.execute(_IN_SESSION, values)).first()
    return _made(id_, draft, secret, made[0] if made else None)


async def repeated(
    session: AsyncSession, repeatable: secrets.Repeatable, scope: str, key: str, request: bytes
) -> tuple[ApiKey, str] | None:
    """Return the answer that this Idempotency-Key got before, or None and hold it until the transaction ends."""
    kept = await replay(session, scope, key, request)
    if kept is None:
        return None
    answer = msgspec.json.decode(kept, type=_Answer)
    if answer.signed_by != repeatable.key_id:
        raise NameTaken("the key was made, but its secret can be shown no more")
    return answer.key, repeatable.secret(answer.nonce, scope, key)


async def create_repeatable(
    session: AsyncSession,
    repeatable: secrets.Repeatable,
    draft: Draft,
    scope: str,
    key: str,
    request: bytes,
) -> tuple[ApiKey, str]:
    """Make the key so that the same Idempotency-Key is answered the same secret again."""
    nonce = repeatable.nonce()
    secret = repeatable.secret(nonce, scope, key)
    made = await add(session, draft, secret)
    answer = _Answer(made, nonce, repeatable.key_id)
    await record(session, scope, key, request, msgspec.json.encode(answer))
    return made, secret


async def report_use(pool: Pool, uses: Mapping[UUID, datetime]) -> None:
    """Record when keys were last used; what is older than the record, or of no key, changes nothing."""
    if len(uses) > MOST_USES:
        raise TooManyUses(f"at most {MOST_USES} uses at once", most=str(MOST_USES))
    if uses:
        await pool.execute(_USED, list(uses), list(uses.values()))


def _values(id_: UUID, draft: Draft, secret: str) -> tuple[Any, ...]:
    event = ApiKeyCreated(str(id_), draft.user_id, draft.name, draft.permissions)
    return (
        id_,
        draft.organization_id,
        draft.user_id,
        draft.name,
        digest(secret),
        prefix_of(secret),
        suffix_of(secret),
        draft.permissions,
        draft.system_admin,
        draft.expires_at,
        *encode(event),
    )


def _made(id_: UUID, draft: Draft, secret: str, created_at: datetime | None) -> ApiKey:
    if created_at is None:
        raise NameTaken(f"a key named {draft.name!r} exists", name=draft.name)
    return ApiKey(
        id=str(id_),
        organization_id=draft.organization_id,
        user_id=draft.user_id,
        name=draft.name,
        permissions=draft.permissions,
        prefix=prefix_of(secret),
        suffix=suffix_of(secret),
        created_at=created_at.astimezone(UTC),
        system_admin=draft.system_admin,
        expires_at=draft.expires_at,
    )
