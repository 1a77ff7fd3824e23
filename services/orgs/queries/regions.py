"""Reads of regions."""

from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.orgs.domain import OrganizationNotFound, RegionNotFound, RegionType, storable
from services.orgs.domain.quotas import RegionQuotaNotFound
from services.orgs.domain.regions import KEPT, RegionCredentialUnknown
from services.orgs.queries.columns import REGION, REGION_QUOTA
from services.orgs.tables import Region, RegionQuota

_SHARED = f"SELECT {REGION} FROM regions r WHERE r.type = 'shared' ORDER BY r.name, r.id"
_SEEN = """
FROM regions r LEFT JOIN region_quotas q ON q.region_id = r.id AND q.organization_id = $1
WHERE (r.organization_id IS NULL OR r.organization_id = $1)
"""
_AVAILABLE = "(r.type = 'custom' OR NOT r.enforce_quotas OR q.organization_id IS NOT NULL)"
_OF_ORGANIZATION = f"SELECT {REGION} {_SEEN} AND {_AVAILABLE} ORDER BY r.type, r.name, r.id"
# Of the installation's regions that an organization was not granted, only the shared ones are known to it.
_LIMITS = f"""
SELECT r.id, r.type, {_AVAILABLE}, q.max_cpu_per_sandbox, q.max_memory_per_sandbox, q.max_disk_per_sandbox,
    q.max_disk_per_non_ephemeral_sandbox
{_SEEN} AND ({_AVAILABLE} OR r.type = 'shared') ORDER BY r.id
"""
_OWN = f"SELECT {REGION} FROM regions r WHERE r.organization_id = $1 AND r.id = $2"
_BY_ID = text(f"SELECT {REGION} FROM regions r WHERE r.id = :id")
# One look into each of three unique indexes, whatever the number of regions.
_OF_SECRET = " UNION ALL ".join(
    f"SELECT id, '{machine}' FROM regions WHERE {kept.secret} = $1"
    for machine, kept in KEPT.items()
)
_QUOTAS = (
    f"SELECT {REGION_QUOTA} FROM region_quotas q WHERE q.organization_id = $1 ORDER BY q.region_id"
)
_QUOTA = (
    f"SELECT {REGION_QUOTA} FROM region_quotas q WHERE q.organization_id = $1 AND q.region_id = $2"
)
_QUOTA_BY_IDS = text(
    f"SELECT {REGION_QUOTA} FROM region_quotas q"
    " WHERE q.organization_id = :organization_id AND q.region_id = :region_id"
)
_IS_THERE = "SELECT id FROM organizations WHERE id = $1"


async def shared_ones(pool: Pool) -> list[Any]:
    return await pool.fetch(_SHARED)


async def of_organization(pool: Pool, organization_id: UUID | None) -> list[Any]:
    """Return what the organization may use: custom, dedicated, shared (their alphabetical order), each by name."""
    return await pool.fetch(_OF_ORGANIZATION, organization_id)


async def limits(pool: Pool, organization_id: UUID | None) -> list[Any]:
    """Return every region the organization may know of, and whether and how it may use it."""
    return await pool.fetch(_LIMITS, organization_id)


async def own(pool: Pool, organization_id: UUID | None, region_id: str) -> Any:
    """Return a custom region of the organization; refuse every other as unknown."""
    row = await pool.fetchrow(_OWN, organization_id, region_id) if storable(region_id) else None
    if row is None:
        raise _not_found()
    return row


async def of_secret(pool: Pool, digest: bytes) -> Any:
    """Return (region, machine) of a secret."""
    row = await pool.fetchrow(_OF_SECRET, digest)
    if row is None:
        raise RegionCredentialUnknown
    return row


async def row_of(session: AsyncSession, region_id: str) -> Any:
    """Return a region as the hot reads do, in the transaction of a change."""
    return (await session.execute(_BY_ID, {"id": region_id})).one()


async def held(session: AsyncSession, organization_id: UUID, region_id: str) -> Region:
    """Return a custom region of the organization, its row held; refuse every other as unknown."""
    found = select(Region).where(Region.organization_id == organization_id, Region.id == region_id)
    region = await session.scalar(found.with_for_update()) if storable(region_id) else None
    if region is None:
        raise _not_found()
    return region


async def quotas(pool: Pool, organization_id: UUID | None) -> list[Any]:
    """Return every share of a region that an organization has, by region."""
    return await pool.fetch(_QUOTAS, organization_id)


async def quota(pool: Pool, organization_id: UUID | None, region_id: str) -> Any:
    """Return one share. Refused with ORGANIZATION_NOT_FOUND or REGION_QUOTA_NOT_FOUND."""
    if await pool.fetchval(_IS_THERE, organization_id) is None:
        raise OrganizationNotFound("there is no such organization")
    row = await pool.fetchrow(_QUOTA, organization_id, region_id) if storable(region_id) else None
    if row is None:
        raise RegionQuotaNotFound("the organization has no share of this region")
    return row


async def usable_by(session: AsyncSession, organization_id: UUID, region_id: str) -> Region:
    """Return a region that an organization may be granted: the installation's, or its own."""
    region = await session.get(Region, region_id) if storable(region_id) else None
    if region is None or region.organization_id not in (None, organization_id):
        raise RegionNotFound("there is no such region", regionId=region_id)
    return region


async def row_of_quota(session: AsyncSession, organization_id: UUID | None, region_id: str) -> Any:
    """Return a share as the reads do, in the transaction of a change."""
    bound = {"organization_id": organization_id, "region_id": region_id}
    return (await session.execute(_QUOTA_BY_IDS, bound)).one()


async def share(session: AsyncSession, organization_id: UUID, region_id: str) -> RegionQuota | None:
    if not storable(region_id):
        return None
    return await session.get(RegionQuota, (organization_id, region_id))


async def shared(session: AsyncSession, region_id: str) -> Region:
    """Return a shared region; refuse every other as unknown."""
    region = await session.get(Region, region_id) if storable(region_id) else None
    if region is None or region.type is not RegionType.SHARED:
        raise RegionNotFound("there is no such shared region", regionId=region_id)
    return region


def _not_found() -> RegionNotFound:
    # The id is not repeated: an unknown one and somebody else's are answered alike, to the letter.
    return RegionNotFound("there is no such region of the organization")
