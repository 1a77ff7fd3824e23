"""Changes of the regions that organizations have of their own, and what is counted there."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from chassis.secrets import fresh
from services.orgs.domain import OrganizationChanged, RegionType
from services.orgs.domain.events import Audited
from services.orgs.domain.regions import (
    KEPT,
    MOST_REGIONS,
    Addresses,
    Machine,
    RegionInUse,
    RegionLimitReached,
    RegionNameTaken,
    RegionUrlUnset,
    digest,
    id_for,
)
from services.orgs.queries import organizations as organization_queries
from services.orgs.queries import regions as queries
from services.orgs.queries.permissions import check_permission
from services.orgs.tables import Organization, Region, RegionUsage

_WRITE, _DELETE = "write:regions", "delete:regions"
# A region that is being deleted meanwhile is waited for, and then no longer there. A removal whose creation nobody
# told of counts for nothing.
_COUNT = text("""
INSERT INTO region_usage (region_id, snapshots)
SELECT id, GREATEST(CAST(:change AS int), 0) FROM regions
WHERE id = ANY(:region_ids) AND CAST(organization_id AS text) = :organization_id ORDER BY id FOR KEY SHARE
ON CONFLICT (region_id) DO UPDATE SET snapshots = GREATEST(region_usage.snapshots + CAST(:change AS int), 0)
""")


async def create(
    session: AsyncSession,
    organization_id: UUID | None,
    user_id: str,
    name: str,
    addresses: Addresses,
    secret_of: Callable[[Machine], str],
) -> tuple[str, dict[Machine, str]]:
    """Make a region; return its id and the secrets of the machines whose addresses are given."""
    organization = await organization_queries.held(session, organization_id)
    await check_permission(session, organization.id, user_id, _WRITE)
    await _check_room(session, organization.id, name)
    secrets = {m: secret_of(m) for m, kept in KEPT.items() if addresses.get(kept.address)}
    values = {
        "name": name,
        "organization_id": organization.id,
        "type": RegionType.CUSTOM,
        "enforce_quotas": False,
        **addresses,
        **{KEPT[m].secret: digest(secret) for m, secret in secrets.items()},
    }
    id_ = await _insert(session, name, values)
    given = {field: url for field, url in addresses.items() if url}
    await _tell(session, organization.id, "create", id_, {"name": name, **given})
    return id_, secrets


async def change(
    session: AsyncSession,
    organization_id: UUID | None,
    user_id: str,
    region_id: str,
    addresses: Addresses,
) -> None:
    """Set the given addresses; with an address the secret of the machine there is forgotten."""
    region = await _held(session, organization_id, user_id, region_id, _WRITE)
    changed = {f: url for f, url in addresses.items() if getattr(region, f) != url}
    if "snapshot_manager_url" in changed:
        await _check_unused(session, region_id)
    for field, url in changed.items():
        setattr(region, field, url)
    for kept in KEPT.values():
        if getattr(region, kept.address) is None:
            setattr(region, kept.secret, None)
    await session.flush()
    await _tell(session, organization_id, "update", region_id, changed)


async def delete(
    session: AsyncSession, organization_id: UUID | None, user_id: str, region_id: str
) -> None:
    """Delete a region; no organization has it as its default any more."""
    region = await _held(session, organization_id, user_id, region_id, _DELETE)
    await _check_unused(session, region_id)
    unset = (
        update(Organization)
        .where(Organization.default_region_id == region_id)
        .values(default_region_id=None, revision=Organization.revision + 1)
        .returning(Organization.id)
    )
    for id_ in await session.scalars(unset):
        changed = OrganizationChanged(str(id_), ["defaultRegionId"])
        await announce(session, changed, organization_id=id_)
    await session.delete(region)
    await session.flush()
    await _tell(session, organization_id, "delete", region_id, {"name": region.name})


async def regenerate(
    session: AsyncSession,
    organization_id: UUID | None,
    user_id: str,
    region_id: str,
    machine: Machine,
) -> str:
    """Replace the secret of a machine; the one before opens nothing any more."""
    region = await _held(session, organization_id, user_id, region_id, _WRITE)
    kept, secret = KEPT[machine], fresh()
    if getattr(region, kept.address) is None:
        raise RegionUrlUnset("the region has no such address", field=kept.address)
    setattr(region, kept.secret, digest(secret))
    await session.flush()
    await _tell(session, organization_id, kept.audited, region_id, {})
    return secret


async def count_snapshots(
    session: AsyncSession, organization_id: str, region_ids: Iterable[str], change: int
) -> None:
    """Count snapshots of an organization in those of the regions that are its own."""
    values = {"region_ids": list(region_ids), "organization_id": organization_id, "change": change}
    await session.execute(_COUNT, values)


async def _held(
    session: AsyncSession,
    organization_id: UUID | None,
    user_id: str,
    region_id: str,
    permission: str,
) -> Region:
    organization = await organization_queries.held(session, organization_id)
    await check_permission(session, organization.id, user_id, permission)
    return await queries.held(session, organization.id, region_id)


async def _check_room(session: AsyncSession, organization_id: UUID, name: str) -> None:
    own = Region.organization_id == organization_id
    taken = select(Region.id).where(own, Region.name == name)
    if await session.scalar(taken) is not None:
        raise RegionNameTaken(f"a region named {name} exists", name=name)
    if (await session.scalar(select(func.count()).where(own)) or 0) >= MOST_REGIONS:
        message = f"an organization may have at most {MOST_REGIONS} regions of its own"
        raise RegionLimitReached(message, limit=str(MOST_REGIONS))


async def _check_unused(session: AsyncSession, region_id: str) -> None:
    count = await session.scalar(
        select(RegionUsage.snapshots).where(RegionUsage.region_id == region_id)
    )
    if count:
        raise RegionInUse(f"{count} snapshots are kept in the region", snapshots=str(count))


async def _insert(session: AsyncSession, name: str, values: dict[str, Any]) -> str:
    """Store a region under an id that is free in the whole installation; the name must be free already."""
    while True:
        draft = insert(Region).values(id=id_for(name), **values)
        free = draft.on_conflict_do_nothing(index_elements=[Region.id]).returning(Region.id)
        if id_ := await session.scalar(free):
            return id_


async def _tell(
    session: AsyncSession,
    organization_id: UUID | None,
    action: str,
    region_id: str,
    particulars: dict[str, str | None],
) -> None:
    metadata = msgspec.json.encode({_public(k): v for k, v in particulars.items()}).decode()
    await announce(
        session,
        OrganizationChanged(str(organization_id), ["regions"]),
        Audited(action, "region", region_id, metadata if particulars else ""),
        organization_id=organization_id,
    )


def _public(column: str) -> str:
    first, *rest = column.split("_")
    return first + "".join(word.capitalize() for word in rest)
