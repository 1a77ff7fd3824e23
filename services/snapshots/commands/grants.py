"""What opens the installation's own registry: made, ended with whoever asked for it, forgotten when it is over."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from chassis.outbox import announce
from services.snapshots.domain.events import Audited
from services.snapshots.domain.grants import (
    LIFETIME,
    MOST_GRANTS,
    PULL,
    PUSH,
    Grant,
    digest,
    project_of,
    registry_id,
)

_INSERT = text("""
INSERT INTO push_grants (id, organization_id, secret, actions, user_id, api_key_id, expires_at)
VALUES (:id, :organization_id, :secret, :actions, :user_id, :api_key_id, now() + :lifetime)
RETURNING expires_at
""")
_BOUND = text("""
DELETE FROM push_grants WHERE id IN (
    SELECT id FROM push_grants WHERE organization_id = :organization_id AND user_id <> ''
    ORDER BY created_at DESC, id OFFSET :most)
""")
# What a pull needs ends with the pull.
_REVOKE = text("""
DELETE FROM push_grants WHERE user_id <> ''
AND (:api_key_id = '' OR api_key_id = :api_key_id)
AND (:user_id = '' OR user_id = :user_id)
AND (:organization_id = '' OR organization_id::text = :organization_id)
""")
_OF_ORGANIZATION = text("DELETE FROM push_grants WHERE organization_id = :organization_id")
_PURGE = text("DELETE FROM push_grants WHERE expires_at < now()")


async def make_for(
    session: AsyncSession, organization_id: UUID, host: str, user_id: str, api_key_id: str
) -> Grant:
    """Let somebody push to the organization's project, and pull what was pushed."""
    grant = await _make(session, organization_id, (PULL, PUSH), LIFETIME, user_id, api_key_id)
    await session.execute(_BOUND, {"organization_id": organization_id, "most": MOST_GRANTS})
    project = project_of(organization_id)
    said = {"project": project, "expiresAt": grant.expires_at.isoformat(timespec="seconds")}
    metadata = msgspec.json.encode({"body": said}).decode()
    told = Audited("read", "docker_registry", registry_id(host), metadata)
    await announce(session, told, organization_id=organization_id)
    return grant


async def make_for_pull(session: AsyncSession, organization_id: UUID, lifetime: timedelta) -> Grant:
    """Let a pull read what was pushed."""
    return await _make(session, organization_id, (PULL,), lifetime, "", "")


async def revoke(
    session: AsyncSession, *, api_key_id: str, user_id: str, organization_id: str
) -> None:
    """End what was given to whom all that is not empty matches."""
    values = {"api_key_id": api_key_id, "user_id": user_id, "organization_id": organization_id}
    await session.execute(_REVOKE, values)


async def forget(session: AsyncSession, organization_id: UUID) -> None:
    """End all of an organization."""
    await session.execute(_OF_ORGANIZATION, {"organization_id": organization_id})


async def purge(sessions: Sessions) -> None:
    """Forget what is over."""
    async with sessions.begin() as session:
        await session.execute(_PURGE)


async def _make(
    session: AsyncSession,
    organization_id: UUID,
    actions: Sequence[str],
    lifetime: timedelta,
    user_id: str,
    api_key_id: str,
) -> Grant:
    id_, secret = uuid4(), secrets.token_urlsafe(32)
    values = {
        "id": id_,
        "organization_id": organization_id,
        "secret": digest(secret),
        "actions": list(actions),
        "user_id": user_id,
        "api_key_id": api_key_id,
        "lifetime": lifetime,
    }
    expires_at = (await session.execute(_INSERT, values)).scalar_one()
    return Grant(id_, secret, expires_at)
