"""What happens in orgs, as it concerns auth."""

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.grpc.wire import from_timestamp
from chassis.origin import Origin, current_origin
from ratoon.events.v1 import event_pb2
from services.auth.commands import revocation
from services.auth.domain.access import is_uuid
from services.auth.queries.revocations import Revoked

REVOKING = (
    "membership_changed",
    "membership_ended",
    "organization_changed",
    "organization_deleted",
)


def revoked_by(event: event_pb2.Event) -> Revoked | None:
    """Return whom an event makes ask anew what they may; None: nobody."""
    match event.WhichOneof("payload"):
        case "membership_changed":
            changed = event.membership_changed
            return Revoked(user_id=changed.user_id, organization_id=changed.organization_id)
        case "membership_ended":
            ended = event.membership_ended
            return Revoked(user_id=ended.user_id, organization_id=ended.organization_id)
        case "organization_changed":
            return Revoked(organization_id=event.organization_changed.organization_id)
        case "organization_deleted":
            deleted = event.organization_deleted.organization_id
            return Revoked(organization_id=deleted, organization_deleted=True)
        case _:
            return None


async def take_effect(session: AsyncSession, event: event_pb2.Event) -> None:
    """Delete the keys that lost their ground, in the name of whoever took it from them."""
    kind = event.WhichOneof("payload")
    if kind not in ("membership_ended", "organization_deleted"):
        return
    before = current_origin.set(_origin(event.origin))
    try:
        if kind == "organization_deleted":
            gone = event.organization_deleted.organization_id
            if is_uuid(gone):
                await revocation.delete_of_organization(session, gone)
            return
        ended = event.membership_ended
        if is_uuid(ended.organization_id):
            moment = from_timestamp(event.create_time)
            await revocation.delete_of_member(session, ended.organization_id, ended.user_id, moment)
    finally:
        current_origin.reset(before)


def _origin(origin: event_pb2.Origin) -> Origin:
    return Origin(**{field.name: getattr(origin, field.name) for field in origin.DESCRIPTOR.fields})
