"""What this context does when auth tells that something happened."""

from sqlalchemy.ext.asyncio import AsyncSession

from ratoon.events.v1 import event_pb2
from services.orgs.commands import people, suspensions
from services.orgs.domain import Person


async def from_auth(session: AsyncSession, event: event_pb2.Event) -> None:
    """Keep the projection of users; a verified e-mail address lifts the suspension that waited for it."""
    if event.WhichOneof("payload") != "user_changed":
        return
    told = event.user_changed
    person = Person(told.user_id, told.name, told.email, told.email_verified)
    if await people.note(session, person):
        await suspensions.lift_unverified(session, person.user_id)
