"""Changes, by administrators of the installation, of what organizations may use."""

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.orgs.commands.changes import held_by, tell
from services.orgs.domain.quotas import RegionQuotaExists, RegionQuotaNotFound, public
from services.orgs.queries import regions as region_queries
from services.orgs.tables import Organization, RegionQuota

Changes = dict[str, int | None]


async def update_quota(
    session: AsyncSession, organization_id: UUID | None, changes: Changes
) -> None:
    organization = await held_by(session, organization_id, None)
    for name, value in changes.items():
        setattr(organization, name, value)
    if changes:
        said = {public(name): value for name, value in changes.items()}
        await tell(session, organization, "update_quota", *said, **said)


async def create_region_quota(
    session: AsyncSession, organization_id: UUID | None, region_id: str, amounts: Changes
) -> None:
    """Grant a share of a region. Refused with REGION_NOT_FOUND or REGION_QUOTA_EXISTS."""
    organization = await held_by(session, organization_id, None)
    region = await region_queries.usable_by(session, organization.id, region_id)
    values = {"organization_id": organization.id, "region_id": region.id, **amounts}
    granted = insert(RegionQuota).values(values).on_conflict_do_nothing()
    if await session.scalar(granted.returning(RegionQuota.region_id)) is None:
        raise RegionQuotaExists("the organization has a share of this region", regionId=region_id)
    await _tell(session, organization, "create_region_quota", region.id, amounts)


async def update_region_quota(
    session: AsyncSession, organization_id: UUID | None, region_id: str, changes: Changes
) -> None:
    organization = await held_by(session, organization_id, None)
    share = await _share(session, organization, region_id)
    for name, value in changes.items():
        setattr(share, name, value)
    if changes:
        await _tell(session, organization, "update_region_quota", region_id, changes)


async def delete_region_quota(
    session: AsyncSession, organization_id: UUID | None, region_id: str
) -> None:
    organization = await held_by(session, organization_id, None)
    await session.delete(await _share(session, organization, region_id))
    await _tell(session, organization, "delete_region_quota", region_id, {})


async def _share(session: AsyncSession, organization: Organization, region_id: str) -> RegionQuota:
    share = await region_queries.share(session, organization.id, region_id)
    if share is None:
        raise RegionQuotaNotFound("the organization has no share of this region")
    return share


async def _tell(
    session: AsyncSession,
    organization: Organization,
    action: str,
    region_id: str,
    amounts: Changes,
) -> None:
    said = {public(name): value for name, value in amounts.items()}
    await tell(session, organization, action, "regionUsage", regionId=region_id, **said)
