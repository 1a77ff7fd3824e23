"""Mails that wait to be sent: rows, claimed by whoever sends, with a lease."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

CHANNEL = "mails"
# After so long nobody waits for a mail any more.
PATIENCE_SECONDS = 86_400.0
_PUT = text(
    "WITH gone AS (DELETE FROM mails WHERE invitation_id = :invitation_id),"
    " put AS (INSERT INTO mails (invitation_id) VALUES (:invitation_id))"
    f" SELECT pg_notify('{CHANNEL}', '')"
)
_CLAIM = text("""
WITH due AS MATERIALIZED (
    SELECT id FROM mails WHERE sent_at IS NULL AND due_at <= now()
    ORDER BY due_at LIMIT :most FOR UPDATE SKIP LOCKED)
UPDATE mails m SET due_at = now() + make_interval(secs => :lease), attempts = attempts + 1
FROM due, invitations i JOIN organizations o ON o.id = i.organization_id
WHERE m.id = due.id AND i.id = m.invitation_id
RETURNING m.id, m.attempts, i.id, o.name, i.email, i.invited_by, i.expires_at,
    i.status = 'pending' AND i.expires_at > now()
""")
_DROP = text("DELETE FROM mails WHERE id = :id")
_NEXT = text(
    "SELECT date_part('epoch', min(due_at) - now()) FROM mails"
    " WHERE sent_at IS NULL AND due_at <> 'infinity'"
)
_SENT = text("UPDATE mails SET sent_at = now(), last_error = '' WHERE id = :id")
_POSTPONE = text("""
UPDATE mails SET last_error = :error, due_at = CASE
    WHEN created_at < now() - make_interval(secs => :patience) THEN 'infinity'
    ELSE now() + make_interval(secs => :seconds) END
WHERE id = :id AND attempts = :attempts AND sent_at IS NULL
RETURNING due_at = 'infinity'
""")


@dataclass(frozen=True, slots=True)
class DueMail:
    """A mail that somebody is to send now."""

    id: int
    attempts: int
    invitation_id: UUID
    organization_name: str
    email: str
    invited_by: str
    expires_at: datetime


async def put(session: AsyncSession, invitation_id: UUID) -> None:
    """Have a mail sent for an invitation, once this transaction is committed; the one before it is forgotten."""
    await session.execute(_PUT, {"invitation_id": invitation_id})


async def claim(session: AsyncSession, *, most: int, lease: float) -> list[DueMail]:
    """Take some mails that are due; whoever does not report on one within the lease has not sent it.

    A mail for an invitation that was answered, taken back or has expired is none.
    """
    due = []
    for *columns, still_open in await session.execute(_CLAIM, {"most": most, "lease": lease}):
        mail = DueMail(*columns)
        if still_open:
            due.append(mail)
        else:
            await session.execute(_DROP, {"id": mail.id})
    return due


async def sent(session: AsyncSession, mail: DueMail) -> None:
    await session.execute(_SENT, {"id": mail.id})


async def postpone(session: AsyncSession, mail: DueMail, error: str, seconds: float) -> bool | None:
    """Try again later, or never if it was tried for too long; return whether it was given up.

    None: somebody else took the mail meanwhile, because the lease was over.
    """
    values = {"id": mail.id, "attempts": mail.attempts, "error": error, "seconds": seconds}
    given_up: bool | None = await session.scalar(
        _POSTPONE, {**values, "patience": PATIENCE_SECONDS}
    )
    return given_up


async def next_due(session: AsyncSession) -> float | None:
    """Return in how many seconds the next mail is due; None: there is none."""
    found: float | None = await session.scalar(_NEXT)
    return found
