"""Reads of organizations."""

from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.orgs.domain import OrganizationForbidden, OrganizationNotFound
from services.orgs.queries.columns import LIMITS, ORGANIZATION, SUSPENSION
from services.orgs.tables import Organization

_JOINED = "FROM members m JOIN organizations o ON o.id = m.organization_id WHERE m.user_id = $1"
_OF_USER = f"SELECT {ORGANIZATION} {_JOINED} ORDER BY o.created_at, o.id"
_ONE_OF_USER = f"SELECT {ORGANIZATION} {_JOINED} AND m.organization_id = $2"
_LIMITS = f"SELECT o.default_region_id, {SUSPENSION}, {LIMITS} FROM organizations o WHERE o.id = $1"
_BY_ID = text(f"SELECT {ORGANIZATION} FROM organizations o WHERE o.id = :id")


async def of_user(pool: Pool, user_id: str) -> list[Any]:
    """Return all organizations of a user, oldest first."""
    return await pool.fetch(_OF_USER, user_id)


async def one_of_user(pool: Pool, user_id: str, organization_id: UUID | None) -> Any:
    """Return an organization of a user; refuse when the user is not (or no longer) in it."""
    row = await pool.fetchrow(_ONE_OF_USER, user_id, organization_id)
    if row is None:
        raise OrganizationForbidden
    return row


async def limits(pool: Pool, organization_id: UUID | None) -> Any:
    """Return default region, suspension and limits, in the order of the columns."""
    row = await pool.fetchrow(_LIMITS, organization_id)
    if row is None:
        raise OrganizationNotFound("there is no such organization")
    return row


async def row_of(session: AsyncSession, organization_id: UUID) -> Any:
    """Return an organization as the hot reads do, in the transaction of a change."""
    return (await session.execute(_BY_ID, {"id": organization_id})).one()


async def held(session: AsyncSession, organization_id: UUID | None) -> Organization:
    """Return an organization whose row is held: its memberships change one after the other.

    One that is gone is refused like one that the caller is not in.
    """
    if organization_id is not None:
        found = await session.get(Organization, organization_id, with_for_update=True)
        if found is not None:
            return found
    raise OrganizationForbidden
