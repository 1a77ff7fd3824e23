"""Keys changed and rotated, in the caller's transaction; either holds from the next request on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from services.auth.commands.revocation import revoke
from services.auth.domain.api_keys import (
    ApiKey,
    ApiKeyNotFound,
    digest,
    prefix_of,
    suffix_of,
)
from services.auth.domain.events import Audited
from services.auth.tables import ApiKeyRow, UserRow


@dataclass(frozen=True, slots=True)
class Change:
    """What shall be other. None: as it is; an expiry of `(None,)`: never."""

    permissions: tuple[str, ...] | None = None
    expiry: tuple[datetime | None] | None = None


async def held(session: AsyncSession, organization_id: str, user_id: str, name: str) -> ApiKeyRow:
    """Return a key, held until the transaction ends. Refused with API_KEY_NOT_FOUND."""
    row = None
    if "\0" not in user_id + name:  # nothing that the database could compare
        which = select(ApiKeyRow).where(
            ApiKeyRow.organization_id == UUID(organization_id),
            ApiKeyRow.user_id == user_id,
            ApiKeyRow.name == name,
        )
        row = await session.scalar(which.with_for_update())
    if row is None:
        raise ApiKeyNotFound("there is no such key", name=ascii(name[:255]))
    return row


async def is_service_account(session: AsyncSession, user_id: str) -> bool:
    found = select(UserRow.service_account).where(UserRow.id == user_id)
    return bool(await session.scalar(found))


async def update(session: AsyncSession, row: ApiKeyRow, change: Change) -> ApiKey:
    """Change a held key."""
    said: dict[str, object] = {}
    if change.permissions is not None:
        row.permissions = list(change.permissions)
        said["permissions"] = change.permissions
    if change.expiry is not None:
        row.expires_at = change.expiry[0]
        said["expiresAt"] = change.expiry[0]
    return await _changed(session, row, said)


async def rotate(session: AsyncSession, row: ApiKeyRow, secret: str, overlap: timedelta) -> ApiKey:
    """Give a held key that secret; the one it has works on for the overlap, the one before it no longer."""
    now = await session.scalar(select(func.clock_timestamp()))
    assert now is not None
    row.previous_secret = row.secret if overlap else None
    row.previous_expires_at = now + overlap if overlap else None
    row.secret = digest(secret)
    row.prefix, row.suffix = prefix_of(secret), suffix_of(secret)
    said: dict[str, object] = {"rotated": True, "overlapSeconds": int(overlap.total_seconds())}
    return await _changed(session, row, said)


async def _changed(session: AsyncSession, row: ApiKeyRow, said: dict[str, object]) -> ApiKey:
    row.revision += 1
    await session.flush()
    metadata = msgspec.json.encode({"userId": row.user_id, **said}).decode()
    audited = Audited("update", "api_key", row.name, metadata, internal_id=str(row.id))
    await announce(session, audited, organization_id=row.organization_id)
    await revoke(session, api_key_id=str(row.id), of_organization=row.organization_id)
    return _key(row)


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=str(row.id),
        organization_id=str(row.organization_id),
        user_id=row.user_id,
        name=row.name,
        permissions=tuple(row.permissions),
        prefix=row.prefix,
        suffix=row.suffix,
        created_at=row.created_at,
        system_admin=row.system_admin,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        previous_expires_at=row.previous_expires_at,
        revision=row.revision,
    )
