"""Changes of invitations. Each holds the organization first, the invitation after it: in this order, always."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from chassis.revisions import check_revision
from services.orgs.commands import mails
from services.orgs.commands.audited import audited
from services.orgs.commands.members import held_by_owner
from services.orgs.domain import OrganizationForbidden, OrganizationPersonal
from services.orgs.domain.invitations import (
    MAIL_PAUSE,
    MOST_PENDING,
    AlreadyAMember,
    AlreadyInvited,
    InvitationLimitReached,
    InvitationNotFound,
    InvitationStatus,
    MailTooSoon,
    Offer,
    address,
    check_open,
    expiry,
)
from services.orgs.queries import invitations as queries
from services.orgs.queries import organizations as organization_queries
from services.orgs.queries import roles as role_queries
from services.orgs.tables import Invitation, InvitationRole


async def create(
    session: AsyncSession,
    organization_id: UUID | None,
    owner_id: str,
    *,
    invited_by: str,
    email: str,
    offer: Offer,
    by_mail: bool,
) -> UUID:
    """Invite an address; a mail goes out once the transaction is committed, if mails are sent at all."""
    organization = await held_by_owner(session, organization_id, owner_id)
    if organization.personal:
        raise OrganizationPersonal("nobody can be invited to a personal organization")
    now = datetime.now(UTC)
    invitation = Invitation(
        organization_id=organization.id,
        email=address(email),
        invited_by=invited_by,
        role=offer.role,
        expires_at=expiry(offer.expires_at, now),
        status=InvitationStatus.PENDING,
    )
    role_ids = await role_queries.assignable(session, organization.id, offer.role_ids)
    await _check_room(session, organization.id, invitation.email, now)
    session.add(invitation)
    await session.flush()
    await _offer(session, invitation.id, role_ids)
    if by_mail:
        await mails.put(session, invitation.id)
    await _tell(session, invitation, "create", **_body(invitation, role_ids))
    return invitation.id


async def change(
    session: AsyncSession,
    organization_id: UUID | None,
    owner_id: str,
    invitation_id: UUID | None,
    offer: Offer,
    condition: Any,
) -> UUID:
    """Replace what an open invitation offers; no mail goes out."""
    invitation = await _open(session, organization_id, owner_id, invitation_id)
    check_revision(invitation.revision, condition)
    if offer.expires_at is not None:
        invitation.expires_at = expiry(offer.expires_at, datetime.now(UTC))
    role_ids = await role_queries.assignable(session, invitation.organization_id, offer.role_ids)
    invitation.role = offer.role
    invitation.revision += 1
    await session.flush()
    await _offer(session, invitation.id, role_ids)
    await _tell(session, invitation, "update", **_body(invitation, role_ids))
    return invitation.id


async def cancel(
    session: AsyncSession,
    organization_id: UUID | None,
    owner_id: str,
    invitation_id: UUID | None,
    condition: Any,
) -> None:
    invitation = await _open(session, organization_id, owner_id, invitation_id)
    check_revision(invitation.revision, condition)
    await _settle(session, invitation, InvitationStatus.CANCELLED)
    await _tell(session, invitation, "delete", email=invitation.email)


async def resend(
    session: AsyncSession,
    organization_id: UUID | None,
    owner_id: str,
    invitation_id: UUID | None,
    *,
    by_mail: bool,
) -> UUID:
    """Have the mail sent once more, if mails are sent at all."""
    invitation = await _open(session, organization_id, owner_id, invitation_id)
    if by_mail:
        last = await queries.last_mail(session, invitation.id)
        if last is not None and last > datetime.now(UTC) - MAIL_PAUSE:
            raise MailTooSoon
        await mails.put(session, invitation.id)
    await _tell(session, invitation, "update", resend=True)
    return invitation.id


async def decline(session: AsyncSession, invitation_id: UUID | None, email: str) -> None:
    """Decline an invitation of this address."""
    place = await queries.place_of(session, invitation_id, email)
    try:
        organization = await organization_queries.held(session, place)
    except OrganizationForbidden:
        # It was deleted a moment ago, and its invitations with it.
        raise InvitationNotFound from None
    invitation = await queries.get(session, organization.id, invitation_id)
    check_open(invitation.status, invitation.expires_at, datetime.now(UTC))
    await _settle(session, invitation, InvitationStatus.DECLINED)
    await _tell(session, invitation, "decline", email=invitation.email)


async def _check_room(
    session: AsyncSession, organization_id: UUID, email: str, now: datetime
) -> None:
    """Refuse an address that needs no invitation; put an expired one that is in the way aside."""
    if await queries.is_member(session, organization_id, email):
        raise AlreadyAMember("a member has this address", email=email)
    expired = update(Invitation).where(
        Invitation.organization_id == organization_id,
        Invitation.email == email,
        Invitation.status == InvitationStatus.PENDING,
        Invitation.expires_at <= now,
    )
    await session.execute(
        expired.values(status=InvitationStatus.LAPSED, revision=Invitation.revision + 1)
    )
    if await queries.is_pending(session, organization_id, email):
        raise AlreadyInvited("a pending invitation has this address", email=email)
    if await queries.count_pending(session, organization_id, now) >= MOST_PENDING:
        message = f"at most {MOST_PENDING} invitations of one organization may be pending"
        raise InvitationLimitReached(message, limit=str(MOST_PENDING))


async def _open(
    session: AsyncSession, organization_id: UUID | None, owner_id: str, invitation_id: UUID | None
) -> Invitation:
    """Return an invitation that can still be acted on, its organization held."""
    organization = await held_by_owner(session, organization_id, owner_id)
    invitation = await queries.get(session, organization.id, invitation_id)
    check_open(invitation.status, invitation.expires_at, datetime.now(UTC))
    return invitation


async def _settle(session: AsyncSession, invitation: Invitation, status: InvitationStatus) -> None:
    invitation.status = status
    invitation.revision += 1
    await session.flush()


async def _offer(session: AsyncSession, invitation_id: UUID, role_ids: Iterable[UUID]) -> None:
    """Let an invitation offer these roles and no others."""
    held = InvitationRole
    await session.execute(delete_from(held).where(held.invitation_id == invitation_id))
    session.add_all(InvitationRole(invitation_id=invitation_id, role_id=r) for r in role_ids)
    await session.flush()


def _body(invitation: Invitation, role_ids: Iterable[UUID]) -> dict[str, Any]:
    return {
        "email": invitation.email,
        "role": invitation.role,
        "assignedRoleIds": role_ids,
        "expiresAt": invitation.expires_at,
    }


async def _tell(session: AsyncSession, invitation: Invitation, action: str, **body: Any) -> None:
    said = audited(action, "organization_invitation", invitation.id, **body)
    await announce(session, said, organization_id=invitation.organization_id)
