"""The look at what somebody shows to get into the installation's own registry."""

import hmac
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from chassis.db import Pool
from services.snapshots.domain.grants import PushCredentialInvalid, digest
from services.snapshots.queries.one import uuid_from

_LIVE = (
    "SELECT organization_id, actions, expires_at, secret FROM push_grants"
    " WHERE id = $1 AND expires_at > now()"
)


class Held(NamedTuple):
    """What a grant is for."""

    organization_id: UUID
    actions: list[str]
    expires_at: datetime


async def live(pool: Pool, username: str, secret: str) -> Held:
    """Return the grant that username and secret open. Refused with PUSH_CREDENTIAL_INVALID."""
    id_ = uuid_from(username)
    row = await pool.fetchrow(_LIVE, id_) if id_ else None
    if row is None or not hmac.compare_digest(row["secret"], digest(secret)):
        raise PushCredentialInvalid("the credential is unknown, expired or revoked")
    return Held(row["organization_id"], row["actions"], row["expires_at"])
