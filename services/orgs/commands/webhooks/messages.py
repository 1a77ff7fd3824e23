"""Messages: made of events, made by hand, sent again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from chassis.outbox import announce
from services.orgs.commands.audited import audited
from services.orgs.commands.changes import held_by
from services.orgs.commands.webhooks import endpoints
from services.orgs.domain.webhooks import (
    PING,
    EndpointDisabled,
    Message,
    MessageNotFound,
)
from services.orgs.tables import WebhookEndpoint

CHANNEL = "webhooks"
_BATCH = 5_000
# A message that is there was made before, of the same event: nobody is told again.
# What is being deleted is waited for, and told nothing then.
_MAKE = f"""
WITH there AS MATERIALIZED (
    SELECT o.id FROM organizations AS o WHERE o.id = ANY(CAST(:organizations AS uuid[]))
    ORDER BY o.id FOR KEY SHARE)
, made AS (
    INSERT INTO webhook_messages (id, organization_id, type, payload, created_at)
    SELECT m.id, m.organization_id, m.type, m.payload, m.made
    FROM unnest(CAST(:ids AS text[]), CAST(:organizations AS uuid[]), CAST(:types AS text[]),
        CAST(:payloads AS text[]), CAST(:made AS timestamptz[]), CAST(:happened AS timestamptz[]))
        AS m (id, organization_id, type, payload, made, happened)
    WHERE m.organization_id IN (SELECT id FROM there) AND EXISTS (SELECT FROM webhook_endpoints AS e
        WHERE e.organization_id = m.organization_id AND e.created_at <= m.happened)
    ORDER BY m.id
    ON CONFLICT (id) DO NOTHING RETURNING id, organization_id, type)
, addressed AS (
    INSERT INTO webhook_deliveries (message_id, endpoint_id)
    SELECT m.id, e.id
    FROM unnest(CAST(:ids AS text[]), CAST(:happened AS timestamptz[])) WITH ORDINALITY AS w (id, happened, place)
    JOIN made AS m ON m.id = w.id
    JOIN webhook_endpoints AS e ON e.organization_id = m.organization_id AND e.created_at <= w.happened
    WHERE {{condition}}
    ORDER BY w.place RETURNING id)
SELECT count(*), (SELECT pg_notify('{CHANNEL}', '') FROM addressed LIMIT 1) FROM made
"""
_WANTING = "e.disabled_reason = '' AND (e.types = '{}' OR m.type = ANY(e.types))"
_MAKE_FOR_ALL = text(_MAKE.format(condition=_WANTING))
_MAKE_FOR_ONE = text(_MAKE.format(condition="e.id = :endpoint_id"))
_AGAIN = f"""
WITH again AS (
    INSERT INTO webhook_deliveries AS d (message_id, endpoint_id) {{what}}
    ON CONFLICT (message_id, endpoint_id) DO UPDATE SET status = 'pending', attempts = 0, due_at = now()
    {{unless}}
    RETURNING d.id)
SELECT count(*), (SELECT pg_notify('{CHANNEL}', '') FROM again LIMIT 1) FROM again
"""
_REPLAY = text(
    _AGAIN.format(
        what="SELECT m.id, e.id FROM webhook_messages AS m JOIN webhook_endpoints AS e USING (organization_id)"
        f" WHERE m.id = :message_id AND (e.id = :endpoint_id OR CAST(:endpoint_id AS uuid) IS NULL AND {_WANTING})",
        unless="",
    )
)
_RECOVER = text(
    _AGAIN.format(
        what="SELECT m.id, e.id FROM webhook_messages AS m JOIN webhook_endpoints AS e USING (organization_id)"
        " WHERE e.id = :endpoint_id AND m.created_at >= :since AND m.type <> 'ping'"
        f" AND ({_WANTING} OR EXISTS (SELECT FROM webhook_deliveries AS o"
        " WHERE o.message_id = m.id AND o.endpoint_id = e.id)) ORDER BY m.created_at, m.id",
        unless="WHERE d.status = 'failed'",
    )
)
_OF_ORGANIZATION = text(
    "SELECT 1 FROM webhook_messages WHERE id = :id AND organization_id = :organization_id"
)
_FORGET = text("""
WITH old AS (SELECT id FROM webhook_messages WHERE created_at < :before ORDER BY created_at LIMIT :limit)
DELETE FROM webhook_messages AS m USING old WHERE m.id = old.id
""")


async def make(session: AsyncSession, messages: Sequence[Message]) -> int:
    """Make messages, in this order, for the endpoints that want them; return how many are new.

    In an organization without an endpoint, or with none that was there when it happened, nothing is made.
    """
    if not messages:
        return 0
    return (await session.execute(_MAKE_FOR_ALL, _columns(messages))).one()[0]  # type: ignore[no-any-return]  # a count


async def send(
    session: AsyncSession,
    organization_id: UUID | None,
    event_type: str,
    payload: str,
    message_id: str,
) -> Message:
    """Send an administrator's message to whoever wants its type; an id that was used before makes no other."""
    organization = await held_by(session, organization_id, None)
    now = datetime.now(UTC)
    message = Message(message_id, organization.id, event_type, payload, now, now)
    if await make(session, [message]):
        said = audited(
            "send_webhook_message", "organization", organization.id, eventType=event_type
        )
        await announce(session, said, organization_id=organization.id)
    return message


async def ping(
    session: AsyncSession, organization_id: UUID | None, owner: str, endpoint_id: UUID | None
) -> Message:
    """Send a message to one endpoint, whatever types it wants."""
    endpoint = await _enabled(session, organization_id, owner, endpoint_id)
    now, id_ = datetime.now(UTC), new_id()
    told = {
        "event": PING,
        "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "id": str(endpoint.id),
        "organizationId": str(endpoint.holder),
    }
    payload = msgspec.json.encode(told).decode()
    message = Message(id_, endpoint.holder, PING, payload, now, now)
    await session.execute(_MAKE_FOR_ONE, {**_columns([message]), "endpoint_id": endpoint.id})
    await _tell(session, endpoint.holder, endpoint=str(endpoint.id), test=True)
    return message


async def replay(
    session: AsyncSession,
    organization_id: UUID | None,
    owner: str,
    message_id: str,
    endpoint_id: UUID | None,
    *,
    to_one: bool,
) -> int:
    """Send a message again; return to how many endpoints."""
    if to_one:
        place = (await _enabled(session, organization_id, owner, endpoint_id)).holder
    else:
        place = (await held_by(session, organization_id, owner)).id
    known = {"id": message_id, "organization_id": place}
    if "\x00" in message_id or (await session.execute(_OF_ORGANIZATION, known)).first() is None:
        raise MessageNotFound
    asked = {"message_id": message_id, "endpoint_id": endpoint_id}
    count: int = (await session.execute(_REPLAY, asked)).one()[0]
    await _tell(session, place, message=message_id, replayed=count)
    return count


async def recover(
    session: AsyncSession,
    organization_id: UUID | None,
    owner: str,
    endpoint_id: UUID | None,
    since: datetime,
) -> int:
    """Send what an endpoint was not sent with success since a moment; return how much that is."""
    endpoint = await _enabled(session, organization_id, owner, endpoint_id)
    endpoint.failing_since = None
    await session.flush()
    asked = {"endpoint_id": endpoint.id, "since": since}
    count: int = (await session.execute(_RECOVER, asked)).one()[0]
    await _tell(session, endpoint.holder, endpoint=str(endpoint.id), recovered=count)
    return count


async def forget(sessions: Sessions, days: int) -> None:
    """Forget messages that are older, and with them the log of their delivery, some at a time."""
    before = datetime.now(UTC) - timedelta(days=days)
    while True:
        async with sessions.begin() as session:
            gone = await session.execute(_FORGET, {"before": before, "limit": _BATCH})
        if gone.rowcount < _BATCH:  # type: ignore[attr-defined]  # a DELETE has one
            return


def new_id() -> str:
    return f"msg_{uuid4().hex}"


async def _enabled(
    session: AsyncSession, organization_id: UUID | None, owner: str, endpoint_id: UUID | None
) -> WebhookEndpoint:
    endpoint = await endpoints.held(session, organization_id, owner, endpoint_id)
    if not endpoint.enabled:
        raise EndpointDisabled
    return endpoint


def _columns(messages: Sequence[Message]) -> dict[str, list[object]]:
    return {
        "ids": [m.id for m in messages],
        "organizations": [m.organization_id for m in messages],
        "types": [m.type for m in messages],
        "payloads": [m.payload for m in messages],
        "made": [m.made for m in messages],
        "happened": [m.happened for m in messages],
    }


async def _tell(session: AsyncSession, organization_id: UUID, **said: object) -> None:
    told = audited("send_webhook_message", "organization", organization_id, webhook=said)
    await announce(session, told, organization_id=organization_id)
