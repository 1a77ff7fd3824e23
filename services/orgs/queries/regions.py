"""Reads of regions."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.orgs.domain import RegionNotFound, RegionType, storable
from services.orgs.queries.columns import REGION
from services.orgs.tables import Region

_SHARED = f"SELECT {REGION} FROM regions r WHERE r.type = 'shared' ORDER BY r.name, r.id"
_SEEN = """
FROM regions r LEFT JOIN region_quotas q ON q.region_id = r.id AND q.organization_id = $1
WHERE (r.organization_id IS NULL OR r.organization_id = $1)
"""
_AVAILABLE = "(r.type = 'custom' OR NOT r.enforce_quotas OR q.organization_id IS NOT NULL)"
_OF_ORGANIZATION = f"SELECT {REGION} {_SEEN} AND {_AVAILABLE} ORDER BY r.type, r.name, r.id"
# Of the installation's regions that an organization was not granted, only the shared ones are known to it.
_LIMITS = f"""
SELECT r.id, r.type, {_AVAILABLE}, q.max_cpu_per_sandbox, q.max_memory_per_sandbox, q.max_disk_per_sandbox
{_SEEN} AND ({_AVAILABLE} OR r.type = 'shared') ORDER BY r.id
"""


async def shared_ones(pool: Pool) -> list[Any]:
    return await pool.fetch(_SHARED)


async def of_organization(pool: Pool, organization_id: UUID | None) -> list[Any]:
    """Return what the organization may use: custom, dedicated, shared (their alphabetical order), each by name."""
    return await pool.fetch(_OF_ORGANIZATION, organization_id)


async def limits(pool: Pool, organization_id: UUID | None) -> list[Any]:
    """Return every region the organization may know of, and whether and how it may use it."""
    return await pool.fetch(_LIMITS, organization_id)


async def shared(session: AsyncSession, region_id: str) -> Region:
    """Return a shared region; refuse every other as unknown."""
    region = await session.get(Region, region_id) if storable(region_id) else None
    if region is None or region.type is not RegionType.SHARED:
        raise RegionNotFound("there is no such shared region", regionId=region_id)
    return region
