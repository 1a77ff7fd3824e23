"""What orgs tells, taken into effect."""

from sqlalchemy.ext.asyncio import AsyncSession

from ratoon.events.v1 import event_pb2
from services.snapshots.commands.retirement import close_organization
from services.snapshots.queries.one import uuid_from


async def take(session: AsyncSession, event: event_pb2.Event) -> None:
    """Close the account of an organization that was deleted; what it has is removed by `retirement.retire`."""
    if event.WhichOneof("payload") != "organization_deleted":
        return
    organization_id = uuid_from(event.organization_deleted.organization_id)
    if organization_id is not None:
        await close_organization(session, organization_id)
