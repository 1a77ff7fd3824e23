"""Changes of memberships."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from chassis.revisions import check_revision
from services.orgs.commands import people
from services.orgs.commands.audited import audited
from services.orgs.domain import (
    LastOwner,
    MemberRole,
    MembershipChanged,
    MembershipEnded,
    OrganizationPersonal,
    Person,
)
from services.orgs.domain.events import Audited
from services.orgs.domain.members import (
    MOST_ACCOUNTS,
    OwnAccess,
    ServiceAccountLimitReached,
    ServiceAccountOwner,
    account_name,
    new_account_id,
)
from services.orgs.queries import members as queries
from services.orgs.queries import organizations as organization_queries
from services.orgs.queries import roles as role_queries
from services.orgs.tables import Member, MemberRoleAssignment, Organization


async def leave(session: AsyncSession, organization_id: UUID | None, user_id: str) -> None:
    """End the user's own membership; an organization always keeps an owner."""
    organization = await organization_queries.held(session, organization_id)
    member = await queries.get(session, organization.id, user_id)
    await _end(session, member, audited("leave_organization"))


async def remove(
    session: AsyncSession,
    organization_id: UUID | None,
    owner_id: str,
    user_id: str,
    condition: Any,
) -> None:
    """End a membership in an owner's name; an organization always keeps an owner."""
    organization = await held_by_owner(session, organization_id, owner_id)
    member = await queries.find(session, organization.id, user_id)
    check_revision(member.revision, condition)
    await _end(session, member, audited("delete", "organization_user", user_id))


async def update_access(
    session: AsyncSession,
    organization_id: UUID | None,
    owner_id: str,
    user_id: str,
    *,
    role: MemberRole,
    role_ids: Sequence[str],
    condition: Any,
) -> None:
    """Replace role and assigned roles of another member.

    An organization keeps an owner by it: who changes it is one, and nobody changes the own access.
    """
    organization = await held_by_owner(session, organization_id, owner_id)
    if user_id == owner_id:
        raise OwnAccess
    member = await queries.find(session, organization.id, user_id)
    _check_fit(organization, member, role)
    check_revision(member.revision, condition)
    assigned = await role_queries.assignable(session, organization.id, role_ids)
    member.role = role
    member.revision += 1
    await session.flush()
    await _assign(session, organization.id, user_id, assigned)
    said = audited(
        "update_access", "organization_user", user_id, role=role, assignedRoleIds=assigned
    )
    await _tell_changed(session, organization.id, user_id, said)


async def create_account(
    session: AsyncSession,
    organization_id: UUID | None,
    owner_id: str,
    *,
    name: str,
    role_ids: Sequence[str],
) -> str:
    """Make a member that is no person; return its user id."""
    organization = await held_by_owner(session, organization_id, owner_id)
    account_name(name)
    assigned = await role_queries.assignable(session, organization.id, role_ids)
    if await queries.count_accounts(session, organization.id) >= MOST_ACCOUNTS:
        message = f"an organization has at most {MOST_ACCOUNTS} service accounts"
        raise ServiceAccountLimitReached(message, limit=str(MOST_ACCOUNTS))
    user_id = new_account_id()
    await people.note(session, Person(user_id, name, "", email_verified=False))
    account = Member(organization_id=organization.id, user_id=user_id, role=MemberRole.MEMBER)
    account.service_account = True
    session.add(account)
    await session.flush()
    await _assign(session, organization.id, user_id, assigned)
    said = audited("create", "organization_user", user_id, name=name, assignedRoleIds=assigned)
    await _tell_changed(session, organization.id, user_id, said, began=True)
    return user_id


async def held_by_owner(
    session: AsyncSession, organization_id: UUID | None, user_id: str
) -> Organization:
    """Return an organization whose row is held, for a change that only an owner may make."""
    organization = await organization_queries.held(session, organization_id)
    await queries.check_owner(session, organization.id, user_id)
    return organization


async def _end(session: AsyncSession, member: Member, said: Audited) -> None:
    organization_id, user_id = member.organization_id, member.user_id
    if member.role is MemberRole.OWNER and not await queries.has_other_owner(
        session, organization_id, user_id
    ):
        raise LastOwner("the last owner cannot leave the organization")
    await session.delete(member)
    await session.flush()
    if member.service_account:
        await people.forget(session, user_id)
    ended = MembershipEnded(str(organization_id), user_id)
    await announce(session, ended, said, organization_id=organization_id)


def _check_fit(organization: Organization, member: Member, role: MemberRole) -> None:
    """Refuse what a member of its kind cannot be."""
    if organization.personal and not member.service_account:
        raise OrganizationPersonal("a personal organization has no members")
    if member.service_account and role is MemberRole.OWNER:
        raise ServiceAccountOwner


async def _tell_changed(
    session: AsyncSession,
    organization_id: UUID,
    user_id: str,
    said: Audited,
    *,
    began: bool = False,
) -> None:
    changed = MembershipChanged(str(organization_id), user_id, began)
    await announce(session, changed, said, organization_id=organization_id)


async def _assign(
    session: AsyncSession, organization_id: UUID, user_id: str, role_ids: Iterable[UUID]
) -> None:
    """Let a member hold these roles and no others."""
    held = MemberRoleAssignment
    await session.execute(
        delete_from(held).where(held.organization_id == organization_id, held.user_id == user_id)
    )
    session.add_all(
        MemberRoleAssignment(organization_id=organization_id, user_id=user_id, role_id=role_id)
        for role_id in role_ids
    )
    await session.flush()
