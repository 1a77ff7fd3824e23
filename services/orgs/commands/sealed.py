"""What is kept sealed here, and its way from an old key to a new one.

Whoever seals holds a lock that a change of the keys waits for, and looks at the keys after having got it. So once they
are changed nothing is sealed under an old key any more, and what is there can be sealed anew, one batch after the other.
"""

import json
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.sealing import KeyRing
from services.orgs.tables import Organization

_BATCH = 100
_LOCK = "pg_advisory_xact_lock{}(hashtextextended('encryption keys', 0))"
_HOLD_KEYS = text(f"SELECT {_LOCK.format('_shared')}")
_LOCK_KEYS = text(f"SELECT {_LOCK.format('')}")
_USED = text(
    "SELECT encode(substr(otel_headers, 1, 8), 'hex') FROM organizations WHERE otel_headers IS NOT NULL"
    " UNION SELECT encode(substr(secret, 1, 8), 'hex') FROM webhook_endpoints"
    " UNION SELECT encode(substr(previous_secret, 1, 8), 'hex') FROM webhook_endpoints"
    " WHERE previous_secret IS NOT NULL"
)
_STALE_SECRETS = text(
    "SELECT id, secret, previous_secret FROM webhook_endpoints"
    " WHERE substr(secret, 1, 8) <> :active OR substr(previous_secret, 1, 8) <> :active"
    f" ORDER BY id LIMIT {_BATCH} FOR UPDATE"
)
_RESEAL_SECRETS = text(
    "UPDATE webhook_endpoints SET secret = :secret, previous_secret = :previous_secret WHERE id = :id"
)


async def seal(
    session: AsyncSession, ring: KeyRing, organization_id: UUID, headers: dict[str, str]
) -> bytes | None:
    """Return headers as they are kept until the transaction ends and from then on; None: there are none."""
    if not headers:
        return None
    await session.execute(_HOLD_KEYS)
    return ring.seal(json.dumps(headers).encode(), _place(organization_id))


def headers(ring: KeyRing, organization: Organization) -> dict[str, str]:
    return opened(ring, organization.id, organization.otel_headers)


def opened(ring: KeyRing, organization_id: UUID, kept: bytes | None) -> dict[str, str]:
    if kept is None:
        return {}
    read: dict[str, str] = json.loads(ring.open(kept, _place(organization_id)))
    return read


async def seal_webhook_secret(
    session: AsyncSession, ring: KeyRing, endpoint_id: UUID, secret: str
) -> bytes:
    """Return the secret of an endpoint as it is kept until the transaction ends and from then on."""
    await session.execute(_HOLD_KEYS)
    return ring.seal(secret.encode(), _webhook_place(endpoint_id))


def webhook_secret(ring: KeyRing, endpoint_id: UUID, kept: bytes) -> str:
    return ring.open(kept, _webhook_place(endpoint_id)).decode()


async def lock_keys(session: AsyncSession) -> None:
    """Wait for those who seal and keep others from it until the transaction ends."""
    await session.execute(_LOCK_KEYS)


async def reseal(session: AsyncSession, ring: KeyRing) -> int:
    """Seal some of what is under an old key anew; return how many. 0: nothing is left."""
    active = bytes.fromhex(ring.keys().active)
    old = text("substr(otel_headers, 1, 8) <> :active").bindparams(active=active)
    stale = select(Organization.id, Organization.otel_headers).where(old)
    found = (await session.execute(stale.limit(_BATCH).with_for_update())).all()
    for id_, kept in found:
        sealed = ring.seal(ring.open(kept or b"", _place(id_)), _place(id_))
        # Nothing has changed for anybody: neither the moment nor the revision does.
        values = {"otel_headers": sealed, "updated_at": Organization.updated_at}
        await session.execute(update(Organization).where(Organization.id == id_).values(values))
    return len(found) + await _reseal_webhook_secrets(session, ring, active)


async def _reseal_webhook_secrets(session: AsyncSession, ring: KeyRing, active: bytes) -> int:
    found = (await session.execute(_STALE_SECRETS, {"active": active})).all()
    for id_, *kept in found:
        place = _webhook_place(id_)
        new = [None if k is None else ring.seal(ring.open(k, place), place) for k in kept]
        bound = {"id": id_, "secret": new[0], "previous_secret": new[1]}
        await session.execute(_RESEAL_SECRETS, bound)
    return len(found)


async def used_keys(session: AsyncSession) -> set[str]:
    """Return the ids of the keys that something is sealed under."""
    return set(await session.scalars(_USED))


def _place(organization_id: UUID) -> str:
    return f"{organization_id} otel headers"


def _webhook_place(endpoint_id: UUID) -> str:
    return f"{endpoint_id} webhook secret"
