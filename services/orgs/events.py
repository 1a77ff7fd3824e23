"""What this context does when others tell that something happened."""

from sqlalchemy.ext.asyncio import AsyncSession

from ratoon.events.v1 import event_pb2
from services.orgs.commands import custom_regions, people, suspensions
from services.orgs.domain import Person


async def from_auth(session: AsyncSession, event: event_pb2.Event) -> None:
    """Keep the projection of users; a verified e-mail address lifts the suspension that waited for it."""
    if event.WhichOneof("payload") != "user_changed":
        return
    told = event.user_changed
    person = Person(told.user_id, told.name, told.email, told.email_verified)
    if await people.note(session, person):
        await suspensions.lift_unverified(session, person.user_id)


async def from_snapshots(session: AsyncSession, event: event_pb2.Event) -> None:
    """Keep count of what is kept in custom regions: nobody changes those under it."""
    match event.WhichOneof("payload"):
        case "snapshot_created":
            regions, change = event.snapshot_created.region_ids, 1
        case "snapshot_removed":
            regions, change = event.snapshot_removed.region_ids, -1
        case _:
            return
    await custom_regions.count_snapshots(session, event.organization_id, regions, change)
