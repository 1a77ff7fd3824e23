"""Reads of invitations."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.orgs.domain.invitations import InvitationNotFound, InvitationStatus
from services.orgs.queries.columns import INVITATION
from services.orgs.queries.pages import READER, limit, seen
from services.orgs.tables import Invitation, Mail, Member, Person

_OPEN = "status = 'pending' AND expires_at > now()"
ROLES = """
LEFT JOIN invitation_roles a ON a.invitation_id = i.id
LEFT JOIN roles r ON r.id = a.role_id
"""
_PAGE = f"""
SELECT {INVITATION} FROM {READER}
LEFT JOIN (
    SELECT * FROM invitations WHERE organization_id = $1 AND {_OPEN}
        AND ($3::timestamptz IS NULL OR (created_at, id) > ($3, $4::uuid))
    ORDER BY created_at, id LIMIT $5
) i ON true
LEFT JOIN organizations o ON o.id = i.organization_id {ROLES}
ORDER BY i.created_at, i.id, r.id
"""
_OF_ADDRESS = f"""
SELECT {INVITATION} FROM invitations i JOIN organizations o ON o.id = i.organization_id {ROLES}
WHERE i.email = $1 AND i.{_OPEN} ORDER BY i.created_at, i.id, r.id
"""
_COUNT = f"SELECT count(*) FROM invitations WHERE email = $1 AND {_OPEN}"
_BY_ID = text(f"""
SELECT {INVITATION} FROM invitations i JOIN organizations o ON o.id = i.organization_id {ROLES}
WHERE i.id = :id ORDER BY r.id
""")


async def page(
    pool: Pool,
    organization_id: UUID | None,
    reader: str,
    after: tuple[datetime, UUID] | tuple[None, None],
    size: int,
) -> list[Any]:
    """Return open invitations, oldest first, at most one more than a page has; one row for each role of each."""
    rows = await pool.fetch(_PAGE, organization_id, reader, *after, limit(size))
    return seen(rows)


async def of_address(pool: Pool, email: str) -> list[Any]:
    """Return the open invitations of an address, oldest first, one row for each role of each."""
    return await pool.fetch(_OF_ADDRESS, email)


async def count_of_address(pool: Pool, email: str) -> int:
    found: int = await pool.fetchval(_COUNT, email)
    return found


async def rows_of(session: AsyncSession, invitation_id: UUID) -> list[Any]:
    """Return one invitation as the lists do, in the transaction of a change."""
    return list((await session.execute(_BY_ID, {"id": invitation_id})).all())


async def get(
    session: AsyncSession, organization_id: UUID, invitation_id: UUID | None
) -> Invitation:
    """Return an invitation of an organization whose row is held, so that nobody else acts on it meanwhile."""
    found = None if invitation_id is None else await session.get(Invitation, invitation_id)
    if found is None or found.organization_id != organization_id:
        raise InvitationNotFound
    return found


async def place_of(session: AsyncSession, invitation_id: UUID | None, email: str) -> UUID:
    """Return the organization that an invitation for this address is of; nothing is held by it."""
    place = select(Invitation.organization_id).where(
        Invitation.id == invitation_id, Invitation.email == email
    )
    found = None
    if invitation_id is not None and email:
        found = await session.scalar(place)
    if found is None:
        raise InvitationNotFound
    return found


async def is_member(session: AsyncSession, organization_id: UUID, email: str) -> bool:
    """Tell whether a member has this address, as far as auth has told."""
    # The collation: A to Z alone are folded, as everywhere where addresses are compared.
    theirs = func.lower(Person.email.collate("C")) == email
    of_organization = Member.organization_id == organization_id
    member = exists().where(of_organization, Member.user_id == Person.user_id, theirs)
    return bool(await session.scalar(select(member)))


async def is_pending(session: AsyncSession, organization_id: UUID, email: str) -> bool:
    pending = exists().where(
        Invitation.organization_id == organization_id,
        Invitation.email == email,
        Invitation.status == InvitationStatus.PENDING,
    )
    return bool(await session.scalar(select(pending)))


async def count_pending(session: AsyncSession, organization_id: UUID, now: datetime) -> int:
    pending = select(func.count()).where(
        Invitation.organization_id == organization_id,
        Invitation.status == InvitationStatus.PENDING,
        Invitation.expires_at > now,
    )
    return await session.scalar(pending) or 0


async def last_mail(session: AsyncSession, invitation_id: UUID) -> datetime | None:
    """Return when the last mail went out, or was put to be sent."""
    moment = func.max(func.coalesce(Mail.sent_at, Mail.created_at))
    found: datetime | None = await session.scalar(
        select(moment).where(Mail.invitation_id == invitation_id)
    )
    return found
