"""Changes of registries. Each runs in the caller's transaction, and each is told to the audit log once."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import delete as sql_delete
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from chassis.revisions import check_revision
from chassis.sealing import KeyRing
from services.snapshots.commands import sealed
from services.snapshots.domain import OrganizationGone
from services.snapshots.domain.events import Audited
from services.snapshots.domain.registries import (
    MASK,
    MOST_REGISTRIES,
    Draft,
    RegistryLimitReached,
    RegistryPasswordRequired,
    place,
)
from services.snapshots.queries import registries as queries
from services.snapshots.tables import Registry, Usage

# Whoever makes one, prefers one or closes the organization waits for the others.
_ALONE = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('registries ' || CAST(:organization_id AS text), 0))"
)


async def create(
    session: AsyncSession, ring: KeyRing, organization_id: UUID, draft: Draft
) -> Registry:
    await _alone(session, organization_id)
    await _check_room(session, organization_id)
    id_, at = uuid4(), draft.address
    registry = Registry(
        id=id_,
        organization_id=organization_id,
        name=draft.name,
        url=at.url,
        host=at.host,
        path=at.path,
        project=draft.project or "",
        username=draft.username,
        password=await sealed.seal(
            session, ring, draft.password, place(organization_id, id_, at.host)
        ),
        preferred=False,
    )
    session.add(registry)
    await session.flush()
    await _tell(session, registry, "create", _said(registry, password=bool(draft.password)))
    return registry


async def change(
    session: AsyncSession,
    ring: KeyRing,
    organization_id: UUID,
    id_: str,
    draft: Draft,
    condition: Any,
) -> Registry:
    """`condition` may say at which revision (`if_revision`) the change is wanted."""
    registry, at = await queries.get(session, organization_id, id_, lock=True), draft.address
    check_revision(registry.revision, condition)
    if at.host != registry.host and registry.password is not None and not draft.password:
        raise RegistryPasswordRequired("for another host, the password has to be given anew")
    registry.name, registry.username = draft.name, draft.username
    registry.url, registry.host, registry.path = at.url, at.host, at.path
    if draft.project is not None:
        registry.project = draft.project
    if draft.password:
        bound = place(organization_id, registry.id, at.host)
        registry.password = await sealed.seal(session, ring, draft.password, bound)
    await _changed(session, registry)
    await _tell(session, registry, "update", _said(registry, password=bool(draft.password)))
    return registry


async def delete(session: AsyncSession, organization_id: UUID, id_: str, condition: Any) -> None:
    registry = await queries.get(session, organization_id, id_, lock=True)
    check_revision(registry.revision, condition)
    await session.delete(registry)
    await session.flush()
    await _tell(session, registry, "delete", {"name": registry.name})


async def prefer(session: AsyncSession, id_: str) -> Registry:
    """Have a registry, of whatever organization, come before those of it that fit just as well."""
    organization_id = (await queries.of_anybody(session, id_)).organization_id
    await _alone(session, organization_id)
    registry = await queries.get(session, organization_id, id_, lock=True)
    if registry.preferred:
        return registry
    others = update(Registry).where(Registry.organization_id == organization_id, Registry.preferred)
    await session.execute(others.values(preferred=False, revision=Registry.revision + 1))
    registry.preferred = True
    await _changed(session, registry)
    await _tell(session, registry, "set_default", {"name": registry.name})
    return registry


async def forget(session: AsyncSession, organization_id: UUID) -> None:
    """Remove all that an organization had, which is closed in the same transaction."""
    await _alone(session, organization_id)
    await session.execute(sql_delete(Registry).where(Registry.organization_id == organization_id))


async def _alone(session: AsyncSession, organization_id: UUID) -> None:
    await session.execute(_ALONE, {"organization_id": str(organization_id)})


async def _check_room(session: AsyncSession, organization_id: UUID) -> None:
    closed = select(Usage.closed).where(Usage.organization_id == organization_id)
    if await session.scalar(closed):
        raise OrganizationGone("the organization is deleted")
    own = select(func.count()).where(Registry.organization_id == organization_id)
    if (await session.scalar(own) or 0) >= MOST_REGISTRIES:
        message = f"an organization may have at most {MOST_REGISTRIES} registries"
        raise RegistryLimitReached(message, limit=str(MOST_REGISTRIES))


async def _changed(session: AsyncSession, registry: Registry) -> None:
    registry.updated_at = await session.scalar(select(func.clock_timestamp()))  # type: ignore[assignment]  # there is one
    registry.revision += 1
    await session.flush()


def _said(registry: Registry, *, password: bool) -> dict[str, str]:
    said = {
        "name": registry.name,
        "url": registry.url,
        "username": registry.username,
        "project": registry.project,
    }
    return {**said, "password": MASK} if password else said


async def _tell(
    session: AsyncSession, registry: Registry, action: str, body: dict[str, str]
) -> None:
    metadata = msgspec.json.encode({"body": body}).decode()
    told = Audited(action, "docker_registry", str(registry.id), metadata)
    await announce(session, told, organization_id=registry.organization_id)
