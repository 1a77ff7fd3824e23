"""Reads of registries. Each but one is scoped to an organization."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.domain.registries import RegistryNotFound, fits, prefix
from services.snapshots.queries.one import uuid_from
from services.snapshots.tables import Registry


def of(organization_id: UUID) -> Select[Registry]:
    return select(Registry).where(Registry.organization_id == organization_id)


async def all_of(session: AsyncSession, organization_id: UUID) -> Sequence[Registry]:
    """Return an organization's registries, newest first."""
    newest = of(organization_id).order_by(Registry.created_at.desc(), Registry.id)
    return (await session.scalars(newest)).all()


async def get(
    session: AsyncSession, organization_id: UUID, id_: str, *, lock: bool = False
) -> Registry:
    """Return a registry; hold its row if `lock`."""
    return await _one(session, of(organization_id), id_, lock=lock)


async def of_anybody(session: AsyncSession, id_: str) -> Registry:
    """Return a registry of whatever organization."""
    return await _one(session, select(Registry), id_, lock=False)


async def best(
    session: AsyncSession, organization_id: UUID, host: str, repository: str
) -> Registry | None:
    """Return what fits a repository best: the longest prefix, then the preferred one, then the newest."""
    there = of(organization_id).where(Registry.host == host)
    ordered = there.order_by(Registry.preferred.desc(), Registry.created_at.desc(), Registry.id)
    fitting = [
        (prefix(one.path, one.project), one)
        for one in await session.scalars(ordered)
        if fits(prefix(one.path, one.project), repository)
    ]
    # The first of equals stays.
    return max(fitting, key=lambda found: len(found[0]))[1] if fitting else None


async def _one(session: AsyncSession, among: Select[Registry], id_: str, *, lock: bool) -> Registry:
    known = uuid_from(id_)
    query = among.where(Registry.id == known)
    if known is not None and (
        found := await session.scalar(query.with_for_update() if lock else query)
    ):
        return found
    raise RegistryNotFound("there is no such registry")
