"""What every change of an organization begins and ends with."""

import json
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from services.orgs.domain import OrganizationChanged, OrganizationNotFound
from services.orgs.domain.events import Audited
from services.orgs.queries import members
from services.orgs.queries import organizations as queries
from services.orgs.tables import Organization


async def held_by(
    session: AsyncSession, organization_id: UUID | None, owner: str | None
) -> Organization:
    """Hold an organization for a change by one of its owners; None: by an administrator of the installation."""
    if owner is not None:
        organization = await queries.held(session, organization_id)
        await members.check_owner(session, organization.id, owner)
        return organization
    found = await queries.held_if_there(session, organization_id)
    if found is None:
        raise OrganizationNotFound("there is no such organization")
    return found


async def tell(
    session: AsyncSession, organization: Organization, action: str, *fields: str, **said: Any
) -> None:
    """Count the change of a held organization, tell the other contexts which public fields changed, and write it down.

    `said` goes into the audit log as it is.
    """
    organization.revision += 1
    await session.flush()
    id_ = str(organization.id)
    metadata = json.dumps({"body": said}, ensure_ascii=False, default=str) if said else ""
    await announce(
        session,
        OrganizationChanged(id_, list(fields)),
        Audited(action, "organization", id_, metadata),
        organization_id=id_,
    )
