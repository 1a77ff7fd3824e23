"""What the roles of a member permit now; what the caller's token says may be a minute old."""

from uuid import UUID

from sqlalchemy import any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.orgs.domain import MemberRole
from services.orgs.domain.permissions import PermissionMissing
from services.orgs.queries import members
from services.orgs.tables import MemberRoleAssignment, Role


async def check_permission(
    session: AsyncSession, organization_id: UUID, user_id: str, permission: str
) -> None:
    """Refuse who is not (or no longer) in the organization, or is not permitted this (any longer)."""
    member = await members.get(session, organization_id, user_id)
    if member.role is MemberRole.OWNER:
        return
    assigned = MemberRoleAssignment
    permitting = (
        select(Role.id)
        .join(assigned, assigned.role_id == Role.id)
        .where(
            assigned.organization_id == organization_id,
            assigned.user_id == user_id,
            literal(permission) == any_(Role.permissions),
        )
    )
    if await session.scalar(permitting.limit(1)) is None:
        raise PermissionMissing(permission)
