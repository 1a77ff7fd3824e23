"""Reads of endpoints, messages and the log of their delivery. Each is scoped to one organization."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orgs.domain import OrganizationNotFound
from services.orgs.domain.webhooks import DeliveryStatus, EndpointNotFound, MessageNotFound
from services.orgs.tables import Organization, WebhookDelivery, WebhookEndpoint, WebhookMessage

_ATTEMPTS = text("""
SELECT a.id, a.created_at, d.endpoint_id, a.status_code, a.error, a.milliseconds
FROM webhook_deliveries AS d JOIN webhook_attempts AS a ON a.delivery_id = d.id
WHERE d.message_id = :message_id ORDER BY a.id DESC
""")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages: so many behind the position of another, and of these only."""

    limit: int
    after: tuple[datetime, str] | None
    event_type: str
    endpoint_id: UUID | None
    status: DeliveryStatus | None


async def all_of(session: AsyncSession, organization_id: UUID) -> list[WebhookEndpoint]:
    endpoint = WebhookEndpoint
    found = select(endpoint).where(endpoint.organization_id == organization_id)
    return list(await session.scalars(found.order_by(endpoint.created_at, endpoint.id)))


async def one(
    session: AsyncSession, organization_id: UUID, endpoint_id: UUID | None
) -> WebhookEndpoint:
    endpoint = WebhookEndpoint
    there = select(endpoint).where(
        endpoint.organization_id == organization_id, endpoint.id == endpoint_id
    )
    found = await session.scalar(there) if endpoint_id is not None else None
    if found is None:
        raise EndpointNotFound
    return found


async def page(
    session: AsyncSession, organization_id: UUID, wanted: Wanted
) -> list[tuple[WebhookMessage, list[WebhookDelivery]]]:
    """Return messages, newest first, and how each stands with the endpoints; one more than wanted if there are more."""
    message = WebhookMessage
    found = select(message).where(message.organization_id == organization_id)
    if wanted.event_type:
        found = found.where(message.type == wanted.event_type)
    if wanted.after is not None:
        at, id_ = wanted.after
        behind = (message.created_at < at) | ((message.created_at == at) & (message.id < id_))
        # The first condition alone finds the place in the index.
        found = found.where(message.created_at <= at, behind)
    if wanted.endpoint_id is not None or wanted.status is not None:
        found = found.where(_standing(wanted))
    newest = found.order_by(message.created_at.desc(), message.id.desc()).limit(wanted.limit + 1)
    messages = list(await session.scalars(newest))
    standing = await deliveries_of(session, [m.id for m in messages])
    return [(m, standing.get(m.id, [])) for m in messages]


async def deliveries_of(
    session: AsyncSession, message_ids: list[str]
) -> dict[str, list[WebhookDelivery]]:
    delivery = WebhookDelivery
    of_these = select(delivery).where(delivery.message_id.in_(message_ids)).order_by(delivery.id)
    found: dict[str, list[WebhookDelivery]] = {}
    for one_ in await session.scalars(of_these):
        found.setdefault(one_.message_id, []).append(one_)
    return found


async def attempts(
    session: AsyncSession, organization_id: UUID | None, message_id: str
) -> list[Any]:
    """Return the log of a message, newest first."""
    message = WebhookMessage
    there = select(message.id).where(
        message.id == message_id, message.organization_id == organization_id
    )
    if "\x00" in message_id or await session.scalar(there) is None:
        raise MessageNotFound
    return list((await session.execute(_ATTEMPTS, {"message_id": message_id})).all())


async def message(session: AsyncSession, message_id: str) -> WebhookMessage:
    return (
        await session.scalars(select(WebhookMessage).where(WebhookMessage.id == message_id))
    ).one()


async def since(session: AsyncSession, organization_id: UUID | None) -> datetime:
    """Return since when an organization is there."""
    made = select(Organization.created_at).where(Organization.id == organization_id)
    found = await session.scalar(made)
    if found is None:
        raise OrganizationNotFound("there is no such organization")
    return found


def _standing(wanted: Wanted) -> Any:
    delivery = WebhookDelivery
    standing = select(delivery.id).where(delivery.message_id == WebhookMessage.id)
    if wanted.endpoint_id is not None:
        standing = standing.where(delivery.endpoint_id == wanted.endpoint_id)
    if wanted.status is not None:
        standing = standing.where(delivery.status == wanted.status)
    return standing.exists()
