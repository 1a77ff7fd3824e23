"""The last that the endpoints of an organization are told: that it is gone."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from services.orgs.commands.webhooks import messages
from services.orgs.domain.webhooks import DELETED, Message

# Endpoints first, then what is on its way there: so does whoever delivers.
_HOLD = text("SELECT id FROM webhook_endpoints WHERE organization_id = :id ORDER BY id FOR UPDATE")
_NOW = text("SELECT clock_timestamp()")
_FORGET_DISABLED = text(
    "DELETE FROM webhook_endpoints WHERE organization_id = :id AND disabled_reason <> ''"
)
_FORGET_TOLD = text("""
DELETE FROM webhook_messages AS m WHERE m.organization_id = :id
AND NOT EXISTS (SELECT FROM webhook_deliveries AS d WHERE d.message_id = m.id AND d.status = 'pending')
""")
_FORGET_ENDPOINTS = text("""
DELETE FROM webhook_endpoints AS e WHERE e.organization_id IS NULL
AND NOT EXISTS (SELECT FROM webhook_deliveries AS d WHERE d.endpoint_id = e.id AND d.status = 'pending')
""")
_FORGET_MESSAGES = text("""
DELETE FROM webhook_messages AS m WHERE m.organization_id IS NULL
AND NOT EXISTS (SELECT FROM webhook_deliveries AS d WHERE d.message_id = m.id AND d.status = 'pending')
""")


async def bid(session: AsyncSession, organization_id: UUID, name: str) -> None:
    """Tell the endpoints of an organization, which the caller holds and deletes next, that it is deleted.

    With it they lose their organization: nothing is made for them any more, and nobody sees or changes them. What is
    on its way to them is delivered still, and then `forget` removes them.
    """
    which = {"id": organization_id}
    if not (await session.execute(_HOLD, which)).all():
        return
    await session.execute(_FORGET_DISABLED, which)
    now = (await session.execute(_NOW)).scalar_one()
    await messages.make(session, [_message(organization_id, name, now)])
    await session.execute(_FORGET_TOLD, which)


async def forget(sessions: Sessions) -> None:
    """Forget endpoints, and with them their secrets, that have been told everything."""
    async with sessions.begin() as session:
        await session.execute(_FORGET_ENDPOINTS)
        await session.execute(_FORGET_MESSAGES)


def _message(organization_id: UUID, name: str, now: datetime) -> Message:
    moment = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {
        "event": DELETED,
        "timestamp": moment,
        "id": str(organization_id),
        "organizationId": str(organization_id),
        "name": name,
        "deletedAt": moment,
    }
    payload = msgspec.json.encode(told).decode()
    return Message(messages.new_id(), organization_id, DELETED, payload, now, now)
