"""Reads of roles."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.orgs.domain import uuid_of
from services.orgs.domain.invitations import InvitationStatus
from services.orgs.domain.roles import (
    MOST_HOLDERS_TOLD,
    MOST_NAMED,
    RoleNotFound,
    RolesInvalid,
)
from services.orgs.queries.columns import ROLE
from services.orgs.queries.pages import READER, limit, seen
from services.orgs.tables import Invitation, InvitationRole, MemberRoleAssignment, Role

_SEEN = "(r.organization_id IS NULL OR r.organization_id = $1)"
_PAGE = f"""
SELECT {ROLE} FROM {READER}
LEFT JOIN roles r ON {_SEEN} AND ($3::uuid IS NULL OR r.id > $3)
ORDER BY r.id LIMIT $4
"""
_ONE = f"SELECT {ROLE} FROM {READER} LEFT JOIN roles r ON {_SEEN} AND r.id = $3"


async def page(
    pool: Pool, organization_id: UUID | None, reader: str, after: UUID | None, size: int
) -> list[Any]:
    """Return the global roles and the organization's own, by id; at most one more than a page has."""
    return seen(await pool.fetch(_PAGE, organization_id, reader, after, limit(size)))


async def one(pool: Pool, organization_id: UUID | None, reader: str, role_id: UUID | None) -> Any:
    rows = seen(await pool.fetch(_ONE, organization_id, reader, role_id))
    if not rows:
        raise RoleNotFound
    return rows[0]


async def get(session: AsyncSession, organization_id: UUID, role_id: UUID | None) -> Role:
    """Return a role that the organization can see: a global one or its own."""
    role = None if role_id is None else await session.get(Role, role_id)
    if role is None or role.organization_id not in (None, organization_id):
        raise RoleNotFound
    return role


async def assignable(
    session: AsyncSession, organization_id: UUID, role_ids: Sequence[str]
) -> list[UUID]:
    """Return the ids of roles that shall be assigned; refuse all of them when one cannot be."""
    ids = [uuid_of(id_) for id_ in role_ids]
    named = [id_ for id_ in ids if id_ is not None]
    if len(named) < len(ids) or len(set(named)) < len(named):
        raise RolesInvalid("a role is malformed or named twice")
    if named:
        own = or_(Role.organization_id.is_(None), Role.organization_id == organization_id)
        known = set(await session.scalars(select(Role.id).where(Role.id.in_(named), own)))
        if missing := [id_ for id_ in named if id_ not in known]:
            raise RolesInvalid("the organization has no such role", roleId=str(missing[0]))
    return named


async def holders(session: AsyncSession, role_id: UUID) -> list[str]:
    """Return who holds a role, by user id; of many only so many that it shows."""
    found = select(MemberRoleAssignment.user_id).where(MemberRoleAssignment.role_id == role_id)
    ordered = found.order_by(MemberRoleAssignment.user_id).limit(MOST_HOLDERS_TOLD + 1)
    return list(await session.scalars(ordered))


async def offers(session: AsyncSession, role_id: UUID, now: datetime) -> list[UUID]:
    """Return invitations that can still be accepted and would assign a role; of many only some."""
    found = (
        select(Invitation.id)
        .join(InvitationRole, InvitationRole.invitation_id == Invitation.id)
        .where(
            InvitationRole.role_id == role_id,
            Invitation.status == InvitationStatus.PENDING,
            Invitation.expires_at > now,
        )
    )
    ordered = found.order_by(Invitation.created_at, Invitation.id).limit(MOST_NAMED)
    return list(await session.scalars(ordered))
