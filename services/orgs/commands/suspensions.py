"""Suspensions: set and lifted by administrators, ended by time, and the wait for a verified address beside them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orgs.commands.changes import held_by, tell
from services.orgs.domain.suspensions import check_suspension
from services.orgs.tables import Organization

SUSPENSIONS = "suspensions"
_BATCH = 100
_NOTIFY = text(f"SELECT pg_notify('{SUSPENSIONS}', '')")
_NEXT_END = text(
    "SELECT extract(epoch FROM min(suspended_until) - clock_timestamp())::float8 FROM organizations"
)


async def suspend(
    session: AsyncSession,
    organization_id: UUID | None,
    *,
    reason: str,
    until: datetime | None,
    grace_hours: int | None,
) -> None:
    """Suspend an organization, anew if it is. Refused with SUSPENSION_INVALID."""
    organization = await held_by(session, organization_id, None)
    now = (await session.scalars(select(func.clock_timestamp()))).one()
    check_suspension(now, until, grace_hours)
    organization.suspended_at, organization.suspended_until = now, until
    organization.suspension_reason = reason
    said: dict[str, Any] = {"reason": reason}
    if until is not None:
        said["until"] = until.isoformat()
        await session.execute(_NOTIFY)
    if grace_hours is not None:
        organization.suspension_cleanup_grace_period_hours = grace_hours
        said["suspensionCleanupGracePeriodHours"] = grace_hours
    await tell(session, organization, "suspend", "suspended", **said)


async def unsuspend(session: AsyncSession, organization_id: UUID | None) -> None:
    """Lift what an administrator set; a wait for a verified address goes on."""
    organization = await held_by(session, organization_id, None)
    if organization.suspended_at is not None:
        await _lift(session, organization)


async def end_past(session: AsyncSession) -> float | None:
    """Lift suspensions whose end is past; return the seconds to the next end (0 and less: at once), None without one."""
    past = select(Organization).where(Organization.suspended_until <= func.clock_timestamp())
    held = past.order_by(Organization.suspended_until).limit(_BATCH)
    for organization in await session.scalars(held.with_for_update(skip_locked=True)):
        await _lift(session, organization, ended="until")
    seconds: float | None = await session.scalar(_NEXT_END)
    return seconds


async def lift_unverified(session: AsyncSession, user_id: str) -> None:
    """End the wait of a user's personal organization for a verified address, and nothing else."""
    waits = select(Organization).where(
        Organization.created_by == user_id,
        Organization.personal,
        Organization.unverified_since.is_not(None),
    )
    for organization in await session.scalars(waits.with_for_update()):
        organization.unverified_since = None
        await tell(session, organization, "unsuspend", "suspended", ended="email-verification")


async def _lift(session: AsyncSession, organization: Organization, **said: str) -> None:
    organization.suspended_at = organization.suspended_until = None
    organization.suspension_reason = ""
    await tell(session, organization, "unsuspend", "suspended", **said)
