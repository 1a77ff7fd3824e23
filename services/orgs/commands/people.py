"""What this context knows of auth's users."""

from dataclasses import asdict

from sqlalchemy import and_, or_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.orgs import tables
from services.orgs.domain import Person


async def note(session: AsyncSession, person: Person) -> bool:
    """Note what auth tells of a user, hold that until the transaction ends, and return whether the e-mail is verified.

    Auth tells by call and by feed, in no order among them: an address once told to be verified stays so.
    """
    draft = insert(tables.Person).values(**asdict(person))
    known, told = tables.Person, draft.excluded
    verified = or_(told.email_verified, and_(known.email == told.email, known.email_verified))
    changes = {"name": told.name, "email": told.email, "email_verified": verified}
    upsert = draft.on_conflict_do_update(index_elements=[known.user_id], set_=changes)
    return bool(await session.scalar(upsert.returning(known.email_verified)))
