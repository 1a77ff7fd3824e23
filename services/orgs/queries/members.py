"""Reads of memberships."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.orgs.domain import (
    MemberRole,
    NotAMember,
    OrganizationForbidden,
    OwnerRequired,
    storable,
    uuid_of,
)
from services.orgs.domain.members import MemberNotFound
from services.orgs.queries.columns import MEMBER
from services.orgs.queries.pages import READER, limit, seen
from services.orgs.tables import Member

# An owner holds everything, so that the roles of one need not be read.
_PERMISSIONS = """
CASE WHEN m.role = 'owner' THEN NULL ELSE (
    SELECT array_agg(DISTINCT p ORDER BY p) FROM member_roles a JOIN roles r ON r.id = a.role_id, unnest(r.permissions) p
    WHERE a.organization_id = m.organization_id AND a.user_id = m.user_id
) END
"""
# The organization's own limits of requests, in the order of their fields; hardly any has some.
_RATE_LIMITS = """
nullif(ARRAY[o.authenticated_rate_limit, o.authenticated_rate_limit_ttl_seconds, o.sandbox_create_rate_limit,
    o.sandbox_create_rate_limit_ttl_seconds, o.sandbox_lifecycle_rate_limit, o.sandbox_lifecycle_rate_limit_ttl_seconds],
    array_fill(NULL::int, ARRAY[6]))
"""
_RESOLVE = f"""
SELECT m.organization_id::text, m.role, {_PERMISSIONS}, {_RATE_LIMITS}, m.service_account
FROM members m JOIN organizations o ON o.id = m.organization_id
WHERE m.user_id = $1 AND m.organization_id = $2
"""
_RESOLVE_PERSONAL = f"""
SELECT m.organization_id::text, m.role, {_PERMISSIONS}, {_RATE_LIMITS}, m.service_account
FROM organizations o JOIN members m ON m.organization_id = o.id
WHERE o.created_by = $1 AND o.personal AND m.user_id = $1
"""
_DETAILS = """
LEFT JOIN people p ON p.user_id = m.user_id
LEFT JOIN member_roles a ON a.organization_id = m.organization_id AND a.user_id = m.user_id
LEFT JOIN roles r ON r.id = a.role_id
"""
_PAGE = f"""
SELECT {MEMBER} FROM {READER}
LEFT JOIN (
    SELECT * FROM members WHERE organization_id = $1
        AND ($3::timestamptz IS NULL OR (created_at, user_id) > ($3, $4::text))
    ORDER BY created_at, user_id LIMIT $5
) m ON true {_DETAILS}
ORDER BY m.created_at, m.user_id, r.id
"""
_ONE = f"""
SELECT {MEMBER} FROM {READER}
LEFT JOIN members m ON m.organization_id = $1 AND m.user_id = $3 {_DETAILS}
ORDER BY r.id
"""
_BY_ID = text(f"""
SELECT {MEMBER} FROM members m {_DETAILS}
WHERE m.organization_id = :organization_id AND m.user_id = :user_id ORDER BY r.id
""")


async def resolve(pool: Pool, user_id: str, organization_id: str) -> Any:
    """Return (organization, role, permissions, limits of requests, service account) of a user; no organization: the personal one.

    Refused with NOT_A_MEMBER, whatever the cause.
    """
    id_ = uuid_of(organization_id)
    if not storable(user_id) or (organization_id and id_ is None):
        raise NotAMember
    if id_ is None:
        row = await pool.fetchrow(_RESOLVE_PERSONAL, user_id)
    else:
        row = await pool.fetchrow(_RESOLVE, user_id, id_)
    if row is None:
        raise NotAMember
    return row


async def page(
    pool: Pool,
    organization_id: UUID | None,
    reader: str,
    after: tuple[datetime, str] | tuple[None, None],
    size: int,
) -> list[Any]:
    """Return members in order of joining, at most one more than a page has; one row for each role of each."""
    return seen(await pool.fetch(_PAGE, organization_id, reader, *after, limit(size)))


async def one(pool: Pool, organization_id: UUID | None, reader: str, user_id: str) -> list[Any]:
    """Return one member, one row for each assigned role and one for a member without."""
    known = user_id if storable(user_id) else ""
    rows = seen(await pool.fetch(_ONE, organization_id, reader, known))
    if not rows:
        raise MemberNotFound
    return rows


async def rows_of(session: AsyncSession, organization_id: UUID, user_id: str) -> list[Any]:
    """Return one member as the list does, in the transaction of a change."""
    values = {"organization_id": organization_id, "user_id": user_id}
    return list((await session.execute(_BY_ID, values)).all())


async def get(session: AsyncSession, organization_id: UUID, user_id: str) -> Member:
    """Return a membership; refuse who is not (or no longer) in the organization."""
    member = await session.get(Member, (organization_id, user_id))
    if member is None:
        raise OrganizationForbidden
    return member


async def find(session: AsyncSession, organization_id: UUID, user_id: str) -> Member:
    """Return somebody's membership; refuse when there is none."""
    found = None
    if storable(user_id):
        found = await session.get(Member, (organization_id, user_id))
    if found is None:
        raise MemberNotFound
    return found


async def check_owner(session: AsyncSession, organization_id: UUID, user_id: str) -> None:
    """Refuse who is not (or no longer) an owner; what the caller's token says may be a minute old."""
    if (await get(session, organization_id, user_id)).role is not MemberRole.OWNER:
        raise OwnerRequired


async def has_other_owner(session: AsyncSession, organization_id: UUID, user_id: str) -> bool:
    others = select(Member.user_id).where(
        Member.organization_id == organization_id,
        Member.role == MemberRole.OWNER,
        Member.user_id != user_id,
    )
    return await session.scalar(others.limit(1)) is not None


async def user_ids(session: AsyncSession, organization_id: UUID) -> list[str]:
    found = select(Member.user_id).where(Member.organization_id == organization_id)
    return list(await session.scalars(found.order_by(Member.user_id)))


async def count_accounts(session: AsyncSession, organization_id: UUID) -> int:
    found = select(func.count()).where(
        Member.organization_id == organization_id, Member.service_account
    )
    return await session.scalar(found) or 0
