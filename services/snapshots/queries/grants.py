"""The look at what somebody shows to get into the installation's own registry."""

import hmac
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.snapshots.domain.grants import PushCredentialInvalid, digest
from services.snapshots.queries.one import uuid_from

# A token that was fetched at the last moment lasts a little longer than its grant.
_MAY_PUSH = text("""
SELECT EXISTS (SELECT 1 FROM push_grants WHERE organization_id = :organization_id
    AND 'push' = ANY(actions) AND expires_at > now() - interval '10 minutes')
""")
_LIVE = (
    "SELECT organization_id, actions, expires_at, secret FROM push_grants"
    " WHERE id = $1 AND expires_at > now()"
)


class Held(NamedTuple):
    """What a grant is for."""

    organization_id: UUID
    actions: list[str]
    expires_at: datetime


async def may_push(session: AsyncSession, organization_id: UUID) -> bool:
    """Tell whether somebody has what lets push to an organization's project, or had it a moment ago."""
    found = await session.scalar(_MAY_PUSH, {"organization_id": organization_id})
    return bool(found)


async def live(pool: Pool, username: str, secret: str) -> Held:
    """Return the grant that username and secret open. Refused with PUSH_CREDENTIAL_INVALID."""
    id_ = uuid_from(username)
    row = await pool.fetchrow(_LIVE, id_) if id_ else None
    if row is None or not hmac.compare_digest(row["secret"], digest(secret)):
        raise PushCredentialInvalid("the credential is unknown, expired or revoked")
    return Held(row["organization_id"], row["actions"], row["expires_at"])
