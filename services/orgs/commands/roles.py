"""Changes of roles."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from chassis.revisions import check_revision
from services.orgs.commands.audited import audited
from services.orgs.commands.members import held_by_owner
from services.orgs.domain import MembershipChanged, OrganizationChanged
from services.orgs.domain.roles import (
    MOST_HOLDERS_TOLD,
    MOST_NAMED,
    RoleAssigned,
    RoleGlobal,
    role_description,
    role_name,
    role_permissions,
)
from services.orgs.queries import roles as queries
from services.orgs.tables import InvitationRole, Role


async def update(
    session: AsyncSession,
    organization_id: UUID | None,
    owner_id: str,
    role_id: UUID | None,
    *,
    name: str,
    description: str,
    permissions: Iterable[str],
    condition: Any,
) -> Role:
    """Replace all of a role; whoever holds it is asked about anew when it permits something else now."""
    role = await _own(session, organization_id, owner_id, role_id)
    told = role_name(name), role_description(description), role_permissions(permissions)
    check_revision(role.revision, condition)
    same = set(told[2]) == set(role.permissions)
    role.name, role.description, role.permissions = told
    role.revision += 1
    await session.flush()
    said = audited("update", "organization_role", role.id, **_body(role))
    concerned = [] if same else await _holders(session, role)
    await announce(session, *concerned, said, organization_id=role.organization_id)
    return role


async def delete(
    session: AsyncSession,
    organization_id: UUID | None,
    owner_id: str,
    role_id: UUID | None,
    condition: Any,
) -> None:
    """Delete a role that nobody holds and that no open invitation offers; what is over no longer names it."""
    role = await _own(session, organization_id, owner_id, role_id)
    check_revision(role.revision, condition)
    members = (await queries.holders(session, role.id))[:MOST_NAMED]
    offers = await queries.offers(session, role.id, datetime.now(UTC))
    if members or offers:
        named = {"members": ",".join(members), "invitations": ",".join(map(str, offers))}
        where = " and ".join(f"{k} {v}" for k, v in named.items() if v)
        raise RoleAssigned(f"the role is assigned: {where}", **named)
    await session.execute(delete_from(InvitationRole).where(InvitationRole.role_id == role.id))
    await session.delete(role)
    await session.flush()
    said = audited("delete", "organization_role", role.id, name=role.name)
    await announce(session, said, organization_id=role.organization_id)


async def _own(
    session: AsyncSession, organization_id: UUID | None, owner_id: str, role_id: UUID | None
) -> Role:
    """Return a role of the organization, whose row is held."""
    organization = await held_by_owner(session, organization_id, owner_id)
    role = await queries.get(session, organization.id, role_id)
    if role.organization_id is None:
        raise RoleGlobal
    return role


async def _holders(session: AsyncSession, role: Role) -> list[Any]:
    """Return the events that make auth ask anew what the holders of a role may."""
    organization_id = str(role.organization_id)
    holders = await queries.holders(session, role.id)
    if len(holders) > MOST_HOLDERS_TOLD:
        return [OrganizationChanged(organization_id, ["roles"])]
    return [MembershipChanged(organization_id, user_id) for user_id in holders]


def _body(role: Role) -> dict[str, Any]:
    return {
        "name": role.name,
        "description": role.description,
        "permissions": role.permissions,
    }
