"""Changes of memberships."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from services.orgs.domain import LastOwner, MemberRole, MembershipEnded
from services.orgs.queries import members as queries
from services.orgs.queries import organizations as organization_queries


async def leave(session: AsyncSession, organization_id: UUID | None, user_id: str) -> None:
    """End the user's own membership; an organization always keeps an owner."""
    organization = await organization_queries.held(session, organization_id)
    member = await queries.get(session, organization.id, user_id)
    others = await queries.has_other_owner(session, organization.id, user_id)
    if member.role is MemberRole.OWNER and not others:
        raise LastOwner("the last owner cannot leave the organization")
    await session.delete(member)
    await session.flush()
    ended = MembershipEnded(str(organization.id), user_id)
    await announce(session, ended, organization_id=organization.id)
