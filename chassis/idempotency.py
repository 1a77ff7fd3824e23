"""Idempotency-Key: the same key with the same request gets the first answer again for 24 hours."""

import hashlib

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import Kind, Refusal

KEPT = "24 hours"
_LONGEST = 255
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:scope || chr(10) || :key, 0))")
_FIND = text(
    "SELECT fingerprint, answer FROM idempotency WHERE scope = :scope AND key = :key"
    f" AND created_at > now() - interval '{KEPT}'"
)
_RECORD = text(
    "INSERT INTO idempotency (scope, key, fingerprint, answer) VALUES (:scope, :key, :fingerprint, :answer)"
    " ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer,"
    " created_at = now()"
)
PURGE = text(f"DELETE FROM idempotency WHERE created_at < now() - interval '{KEPT}'")


class IdempotencyKeyInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_INVALID"


class IdempotencyKeyReused(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED"


def fingerprint(request: bytes) -> bytes:
    """Return what makes two requests the same: a digest of their serialized form."""
    return hashlib.sha256(request).digest()


async def replay(session: AsyncSession, scope: str, key: str, request: bytes) -> bytes | None:
    """Return the answer that `key` got before, or None and hold the key until the transaction ends.

    `scope` names caller, organization and operation. Refused with IDEMPOTENCY_KEY_REUSED for another request, and
    with IDEMPOTENCY_KEY_INVALID for what is no key.
    """
    if len(key) > _LONGEST or not key.isprintable():
        raise IdempotencyKeyInvalid(f"an Idempotency-Key has 1 to {_LONGEST} printable characters")
    await session.execute(_LOCK, {"scope": scope, "key": key})
    found = (await session.execute(_FIND, {"scope": scope, "key": key})).one_or_none()
    if found is None:
        return None
    if bytes(found.fingerprint) != fingerprint(request):
        raise IdempotencyKeyReused("this Idempotency-Key was used for another request")
    return bytes(found.answer)


async def record(
    session: AsyncSession, scope: str, key: str, request: bytes, answer: bytes
) -> None:
    """Keep the answer, in the transaction that made it true."""
    values = {"fingerprint": fingerprint(request), "answer": answer}
    await session.execute(_RECORD, {"scope": scope, "key": key, **values})
