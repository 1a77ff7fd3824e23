"""Changes of endpoints; each by an owner of the organization, and each told to the audit log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from chassis.revisions import check_revision
from chassis.sealing import KeyRing
from services.orgs.commands import sealed
from services.orgs.commands.audited import audited
from services.orgs.commands.changes import held_by
from services.orgs.domain.webhooks import (
    MOST_ENDPOINTS,
    OVERLAP_HOURS,
    Disabled,
    EndpointLimitReached,
    EndpointNotFound,
    new_secret,
    origin_of,
)
from services.orgs.tables import WebhookEndpoint

_GIVE_UP = text(
    "UPDATE webhook_deliveries SET status = 'failed' WHERE endpoint_id = :id AND status = 'pending'"
)


async def create(
    session: AsyncSession,
    organization_id: UUID | None,
    owner: str,
    ring: KeyRing,
    *,
    url: str,
    description: str,
    types: Sequence[str],
    enabled: bool,
) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint; return it and its secret."""
    organization = await held_by(session, organization_id, owner)
    await _check_room(session, organization.id)
    endpoint = WebhookEndpoint(
        organization_id=organization.id,
        url=url,
        description=description,
        types=list(types),
        disabled_reason="" if enabled else Disabled.REQUESTED,
        secret=b"",
    )
    session.add(endpoint)
    await session.flush()
    secret = await _give_secret(session, endpoint, ring)
    await session.flush()
    await _tell(session, endpoint, created=_body(endpoint))
    return endpoint, secret


async def change(
    session: AsyncSession,
    organization_id: UUID | None,
    owner: str,
    endpoint_id: UUID | None,
    condition: Any,
    *,
    enabled: bool | None,
    **values: Any,
) -> WebhookEndpoint:
    """Set the given columns, and whether it is told anything."""
    endpoint = await held(session, organization_id, owner, endpoint_id)
    check_revision(endpoint.revision, condition)
    for column, value in values.items():
        setattr(endpoint, column, value)
    if enabled is not None and enabled != endpoint.enabled:
        endpoint.disabled_reason = "" if enabled else Disabled.REQUESTED
        endpoint.failing_since = None
    endpoint.revision += 1
    await session.flush()
    if not endpoint.enabled:
        await session.execute(_GIVE_UP, {"id": endpoint.id})
    await _tell(session, endpoint, updated=_body(endpoint))
    return endpoint


async def delete(
    session: AsyncSession, organization_id: UUID | None, owner: str, endpoint_id: UUID | None
) -> None:
    endpoint = await held(session, organization_id, owner, endpoint_id)
    await session.delete(endpoint)
    await session.flush()
    await _tell(session, endpoint, deleted=True)


async def rotate(
    session: AsyncSession,
    organization_id: UUID | None,
    owner: str,
    endpoint_id: UUID | None,
    ring: KeyRing,
) -> tuple[str, datetime]:
    """Replace the secret; return the new one, and until when the one before signs too."""
    endpoint = await held(session, organization_id, owner, endpoint_id)
    until = datetime.now(UTC) + timedelta(hours=OVERLAP_HOURS)
    before = sealed.webhook_secret(ring, endpoint.id, endpoint.secret)
    endpoint.previous_secret = await sealed.seal_webhook_secret(session, ring, endpoint.id, before)
    endpoint.previous_secret_until = until
    endpoint.revision += 1
    secret = await _give_secret(session, endpoint, ring)
    await session.flush()
    await _tell(session, endpoint, secretRotated=True)
    return secret, until


async def disable(session: AsyncSession, endpoint_id: UUID, why: Disabled) -> None:
    """Tell an endpoint nothing any more, because of how it answers; nobody asked for it."""
    endpoint = await session.get(WebhookEndpoint, endpoint_id, with_for_update=True)
    if endpoint is None or not endpoint.enabled:
        return
    endpoint.disabled_reason = why
    endpoint.revision += 1
    await session.flush()
    await session.execute(_GIVE_UP, {"id": endpoint_id})
    await _tell(session, endpoint, disabled=why.value)


async def held(
    session: AsyncSession, organization_id: UUID | None, owner: str, endpoint_id: UUID | None
) -> WebhookEndpoint:
    """Hold an endpoint of an organization of this owner's."""
    organization = await held_by(session, organization_id, owner)
    found = None
    if endpoint_id is not None:
        found = await session.get(WebhookEndpoint, endpoint_id, with_for_update=True)
    if found is None or found.organization_id != organization.id:
        raise EndpointNotFound
    return found


async def _check_room(session: AsyncSession, organization_id: UUID) -> None:
    there = select(func.count()).where(WebhookEndpoint.organization_id == organization_id)
    if (await session.scalar(there) or 0) >= MOST_ENDPOINTS:
        message = f"an organization has at most {MOST_ENDPOINTS} endpoints"
        raise EndpointLimitReached(message, limit=str(MOST_ENDPOINTS))


async def _give_secret(session: AsyncSession, endpoint: WebhookEndpoint, ring: KeyRing) -> str:
    secret = new_secret()
    endpoint.secret = await sealed.seal_webhook_secret(session, ring, endpoint.id, secret)
    return secret


def _body(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """Return what the audit log is told: of the address only the host, for the rest may be a secret."""
    return {
        "host": origin_of(endpoint.url),
        "eventTypes": endpoint.types,
        "enabled": endpoint.enabled,
    }


async def _tell(session: AsyncSession, endpoint: WebhookEndpoint, **said: Any) -> None:
    # Nothing that the published log knows by name is an endpoint: it is a setting of its organization.
    organization_id = endpoint.organization_id
    if organization_id is None:
        # Nobody is left to read it.
        return
    body = {"webhookEndpoint": {"id": str(endpoint.id), **said}}
    told = audited("update", "organization", organization_id, **body)
    await announce(session, told, organization_id=organization_id)
