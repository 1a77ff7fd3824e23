"""Deliveries: claimed by whoever sends, with a lease, and ended by what came of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orgs.commands.webhooks import endpoints
from services.orgs.domain.webhooks import FAILING_DAYS, Disabled, Outcome

# From endpoint to endpoint along the index of what waits, however much waits for each; of each endpoint and of each
# organization as many as it has room for, so that none keeps the others back. One whose organization is gone is its own.
_CLAIM = text("""
WITH RECURSIVE waiting AS (
    (SELECT endpoint_id FROM webhook_deliveries WHERE status = 'pending' ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.endpoint_id FROM webhook_deliveries AS d
        WHERE d.status = 'pending' AND d.endpoint_id > w.endpoint_id ORDER BY d.endpoint_id LIMIT 1)
    FROM waiting AS w WHERE w.endpoint_id IS NOT NULL)
, busy AS (
    SELECT e.id, coalesce(e.organization_id, e.id) AS holder, b.running
    FROM unnest(CAST(:endpoints AS uuid[]), CAST(:running AS int[])) AS b (id, running)
    JOIN webhook_endpoints AS e USING (id))
, room AS (
    SELECT e.id AS endpoint_id, coalesce(e.organization_id, e.id) AS holder,
        CAST(:each AS int) - coalesce(b.running, 0) AS places
    FROM waiting AS w JOIN webhook_endpoints AS e ON e.id = w.endpoint_id LEFT JOIN busy AS b ON b.id = e.id)
, first AS MATERIALIZED (
    SELECT d.id, d.nth, d.due_at, r.holder FROM room AS r CROSS JOIN LATERAL (
        SELECT f.id, f.due_at, row_number() OVER (ORDER BY f.due_at, f.id) AS nth FROM (
            SELECT p.id, p.due_at FROM webhook_deliveries AS p
            WHERE p.endpoint_id = r.endpoint_id AND p.status = 'pending' AND p.due_at <= now()
            ORDER BY p.due_at, p.id LIMIT greatest(r.places, 0) FOR UPDATE SKIP LOCKED) AS f) AS d)
, due AS MATERIALIZED (
    SELECT f.id, f.nth, f.due_at FROM (
        SELECT *, row_number() OVER (PARTITION BY holder ORDER BY nth, due_at) AS place FROM first) AS f
    WHERE f.place <= CAST(:of_one AS int)
        - (SELECT coalesce(sum(b.running), 0) FROM busy AS b WHERE b.holder = f.holder)
    ORDER BY f.nth, f.due_at LIMIT :most)
UPDATE webhook_deliveries AS d
SET due_at = now() + make_interval(secs => :lease), attempts = d.attempts + 1, claim = d.claim + 1
FROM due, webhook_messages AS m, webhook_endpoints AS e
WHERE d.id = due.id AND m.id = d.message_id AND e.id = d.endpoint_id
RETURNING d.id, d.claim, d.attempts, m.id, m.payload, e.id, e.url, e.secret,
    CASE WHEN e.previous_secret_until > now() THEN e.previous_secret END,
    coalesce(e.organization_id, e.id), due.nth, due.due_at
""")
_NEXT = text("""
SELECT date_part('epoch', min(due_at) - now()) FROM webhook_deliveries
WHERE status = 'pending' AND endpoint_id <> ALL(CAST(:full AS uuid[])) AND endpoint_id NOT IN (
    SELECT id FROM webhook_endpoints WHERE organization_id = ANY(CAST(:full_holders AS uuid[])))
""")
_WELL = text(
    "UPDATE webhook_endpoints SET failing_since = NULL, updated_at = updated_at"
    " WHERE id = :endpoint_id AND failing_since IS NOT NULL"
)
_DELIVERED = text(
    "UPDATE webhook_deliveries SET status = 'delivered' WHERE id = :id AND claim = :claim"
)
_POSTPONE = text("""
UPDATE webhook_deliveries SET due_at = now() + make_interval(secs => :seconds),
    status = CASE WHEN :last THEN 'failed' ELSE status END
WHERE id = :id AND claim = :claim AND status = 'pending'
""")
_FAILING = text("""
UPDATE webhook_endpoints AS e SET failing_since = coalesce(failing_since, now()), updated_at = e.updated_at
WHERE id = :endpoint_id AND disabled_reason = ''
RETURNING failing_since < now() - make_interval(days => :days)
""")
# The log of what is not there any more is not kept.
_LOG = text("""
INSERT INTO webhook_attempts (delivery_id, status_code, error, milliseconds, created_at)
SELECT id, :status, :error, :milliseconds, :began FROM webhook_deliveries WHERE id = :id FOR KEY SHARE
""")


@dataclass(frozen=True, slots=True)
class Room:
    """How many deliveries a process makes at a time: to one endpoint, of one organization, and how many more now."""

    each: int
    of_one: int
    most: int


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that somebody is to make now."""

    id: int
    claim: int
    attempts: int
    message_id: str
    payload: str = field(repr=False)
    endpoint_id: UUID
    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    previous_secret: bytes | None = field(repr=False)
    # Its organization, or itself, when that is gone.
    holder: UUID


async def claim(
    session: AsyncSession, running: Mapping[UUID, int], room: Room, *, lease: float
) -> list[Due]:
    """Take deliveries that are due, the first of each endpoint before the second of any.

    `running` is how many this process makes already, by endpoint. Whoever does not report on one within the lease has
    not made it.
    """
    busy = {"endpoints": list(running), "running": list(running.values())}
    rows = (await session.execute(_CLAIM, {**busy, **asdict(room), "lease": lease})).all()
    return [Due(*row[:10]) for row in sorted(rows, key=lambda row: tuple(row[10:]))]


async def next_due(
    session: AsyncSession, full: list[UUID], full_holders: list[UUID]
) -> float | None:
    """Return in how many seconds the next delivery is due, but for who has no room; None: there is none."""
    known = {"full": full, "full_holders": full_holders}
    found: float | None = await session.scalar(_NEXT, known)
    return found


async def ended(
    session: AsyncSession, due: Due, began: datetime, outcome: Outcome, pause: float | None
) -> Disabled | None:
    """Write down what came of an attempt; after a failure the next one is made after the pause, or never.

    Return why the endpoint was disabled by it, if it was. A claim that was lost to somebody else changes nothing.
    """
    # First the endpoint, then what is on its way there: so does whoever changes an endpoint.
    held, endpoint = {"id": due.id, "claim": due.claim}, {"endpoint_id": due.endpoint_id}
    why = None
    if outcome.failure is None:
        await session.execute(_WELL, endpoint)
        await session.execute(_DELIVERED, held)
    else:
        too_long = await session.scalar(_FAILING, {**endpoint, "days": FAILING_DAYS})
        await session.execute(_POSTPONE, {**held, "seconds": pause or 0.0, "last": pause is None})
        why = Disabled.GONE if outcome.gone else Disabled.FAILING if too_long else None
    await _log(session, due, began, outcome)
    if why is not None:
        await endpoints.disable(session, due.endpoint_id, why)
    return why


async def _log(session: AsyncSession, due: Due, began: datetime, outcome: Outcome) -> None:
    error = "" if outcome.failure is None else outcome.failure.value
    said = {"status": outcome.status, "error": error, "milliseconds": outcome.milliseconds}
    await session.execute(_LOG, {**said, "id": due.id, "began": began})
