"""Changes of regions and of what organizations may use in them."""

from dataclasses import asdict
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from services.orgs.domain import OrganizationChanged, RegionTotals, RegionType
from services.orgs.tables import Organization, Region, RegionQuota


class RegionIdTaken(RuntimeError):
    """The configured default region bears the id of a region that is not shared."""


async def provide_default(
    session: AsyncSession, region_id: str, name: str, *, enforce_quotas: bool, totals: RegionTotals
) -> None:
    """Make the shared region that the installation is configured to have, or bring it up to date.

    Once it enforces quotas, the organizations that live there are granted the usual totals; they would be shut out.
    """
    draft = postgresql.insert(Region).values(
        id=region_id, name=name, type=RegionType.SHARED, enforce_quotas=enforce_quotas
    )
    told = draft.excluded
    changed = or_(Region.name != told.name, Region.enforce_quotas != told.enforce_quotas)
    await session.execute(
        draft.on_conflict_do_update(
            index_elements=[Region.id],
            set_={
                "name": told.name,
                "enforce_quotas": told.enforce_quotas,
                "updated_at": func.now(),
            },
            where=(Region.type == RegionType.SHARED) & changed,
        )
    )
    region = await session.get_one(Region, region_id)
    if region.type is not RegionType.SHARED:
        raise RegionIdTaken(f"region {region_id} exists and is {region.type}, not shared")
    if enforce_quotas:
        await _grant_residents(session, region_id, totals)


async def _grant_residents(session: AsyncSession, region_id: str, totals: RegionTotals) -> None:
    granted = select(RegionQuota.organization_id).where(RegionQuota.region_id == region_id)
    residents = select(Organization.id).where(
        Organization.default_region_id == region_id, Organization.id.not_in(granted)
    )
    for organization_id in await session.scalars(residents):
        await grant(session, organization_id, region_id, totals)
        counted = Organization.id == organization_id
        await session.execute(
            update(Organization).where(counted).values(revision=Organization.revision + 1)
        )
        changed = OrganizationChanged(str(organization_id), ["regionUsage"])
        await announce(session, changed, organization_id=organization_id)


async def grant(
    session: AsyncSession, organization_id: UUID, region_id: str, totals: RegionTotals
) -> None:
    """Let an organization use a region up to the totals, unless it already has some."""
    values = {"organization_id": organization_id, "region_id": region_id, **asdict(totals)}
    await session.execute(postgresql.insert(RegionQuota).values(values).on_conflict_do_nothing())
