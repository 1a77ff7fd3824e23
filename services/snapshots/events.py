"""What orgs and auth tell, taken into effect."""

from sqlalchemy.ext.asyncio import AsyncSession

from ratoon.events.v1 import event_pb2
from services.snapshots.commands import grants, reviews
from services.snapshots.commands.retirement import close_organization
from services.snapshots.queries.one import uuid_from

# What listeners are told by the gateways.
LIVE = (
    *("snapshot_created", "snapshot_state_changed", "snapshot_removed"),
    *("snapshot_shared", "snapshot_unshared"),
)


async def from_auth(session: AsyncSession, event: event_pb2.Event) -> None:
    """What somebody was given to push with ends with whatever it was given for."""
    if event.WhichOneof("payload") == "caller_revoked":
        gone = event.caller_revoked
        await grants.revoke(
            session,
            api_key_id=gone.api_key_id,
            user_id=gone.user_id,
            organization_id=gone.organization_id,
        )


async def take(session: AsyncSession, event: event_pb2.Event) -> None:
    """Close the account of an organization that was deleted; what it has is removed by `retirement.retire`.

    One that changed is looked at, by `servicer.reviews`.
    """
    match event.WhichOneof("payload"):
        case "organization_deleted":
            deleted = uuid_from(event.organization_deleted.organization_id)
            if deleted is not None:
                await close_organization(session, deleted)
        case "organization_changed":
            changed = uuid_from(event.organization_changed.organization_id)
            if changed is not None:
                await reviews.ask(session, changed)
