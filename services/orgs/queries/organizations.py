"""Reads of organizations."""

from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.orgs.domain import OrganizationForbidden, OrganizationNotFound
from services.orgs.domain.telemetry import OtelConfigNotFound
from services.orgs.queries.columns import LIMITS, ORGANIZATION, SUSPENSION
from services.orgs.tables import Organization

_JOINED = "FROM members m JOIN organizations o ON o.id = m.organization_id WHERE m.user_id = $1"
_ORDER = "ORDER BY o.created_at, o.id LIMIT $2"
_OF_USER = f"SELECT {ORGANIZATION} {_JOINED} {_ORDER}"
_OF_USER_AFTER = f"""
SELECT {ORGANIZATION} {_JOINED}
AND (o.created_at, o.id) > ('epoch'::timestamptz + $3::bigint * interval '1 microsecond', $4::uuid) {_ORDER}
"""
_ONE_OF_USER = f"SELECT {ORGANIZATION} {_JOINED} AND m.organization_id = $2"
_LIMITS = (
    f"SELECT o.default_region_id, o.revision, o.snapshot_auto_activation, {SUSPENSION}, {LIMITS}"
    " FROM organizations o WHERE o.id = $1"
)
_QUOTAS_OF_USER = f"SELECT {LIMITS} {_JOINED} AND m.organization_id = $2"
_TELEMETRY = "SELECT otel_endpoint, otel_headers FROM organizations WHERE id = $1"
_BY_ID = text(f"SELECT {ORGANIZATION} FROM organizations o WHERE o.id = :id")


async def of_user(
    pool: Pool, user_id: str, *, most: int | None = None, after: tuple[int, UUID] | None = None
) -> list[Any]:
    """Return organizations of a user, oldest first, those behind the moment (microseconds) and id of another."""
    if after is None:
        return await pool.fetch(_OF_USER, user_id, most)
    return await pool.fetch(_OF_USER_AFTER, user_id, most, *after)


async def one_of_user(pool: Pool, user_id: str, organization_id: UUID | None) -> Any:
    """Return an organization of a user; refuse when the user is not (or no longer) in it."""
    row = await pool.fetchrow(_ONE_OF_USER, user_id, organization_id)
    if row is None:
        raise OrganizationForbidden
    return row


async def limits(pool: Pool, organization_id: UUID | None) -> Any:
    """Return default region, revision, suspension and limits, in the order of the columns."""
    row = await pool.fetchrow(_LIMITS, organization_id)
    if row is None:
        raise OrganizationNotFound("there is no such organization")
    return row


async def quotas_of_user(pool: Pool, user_id: str, organization_id: UUID | None) -> Any:
    """Return the limits of an organization of a user; refuse when the user is not (or no longer) in it."""
    row = await pool.fetchrow(_QUOTAS_OF_USER, user_id, organization_id)
    if row is None:
        raise OrganizationForbidden
    return row


async def telemetry(pool: Pool, organization_id: UUID | None) -> tuple[str, bytes | None]:
    """Return endpoint and sealed headers. Refused with OTEL_CONFIG_NOT_FOUND."""
    row = await pool.fetchrow(_TELEMETRY, organization_id)
    if row is None or row[0] is None:
        raise OtelConfigNotFound("the organization sends telemetry nowhere")
    return row[0], row[1]


async def row_of(session: AsyncSession, organization_id: UUID) -> Any:
    """Return an organization as the hot reads do, in the transaction of a change."""
    return (await session.execute(_BY_ID, {"id": organization_id})).one()


async def held(session: AsyncSession, organization_id: UUID | None) -> Organization:
    """Return an organization whose row is held: its memberships change one after the other.

    One that is gone is refused like one that the caller is not in.
    """
    found = await held_if_there(session, organization_id)
    if found is None:
        raise OrganizationForbidden
    return found


async def held_if_there(session: AsyncSession, organization_id: UUID | None) -> Organization | None:
    if organization_id is None:
        return None
    return await session.get(Organization, organization_id, with_for_update=True)
