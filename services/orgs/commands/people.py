"""What this context knows of auth's users."""

from dataclasses import asdict
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy import delete as delete_from
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


async def forget(session: AsyncSession, user_id: str) -> None:
    """Forget a service account that is gone; auth would never tell of it."""
    await session.execute(delete_from(tables.Person).where(tables.Person.user_id == user_id))


async def forget_accounts(session: AsyncSession, organization_id: UUID) -> None:
    """Forget all service accounts of an organization that is about to go."""
    accounts = select(tables.Member.user_id).where(
        tables.Member.organization_id == organization_id, tables.Member.service_account
    )
    await session.execute(delete_from(tables.Person).where(tables.Person.user_id.in_(accounts)))
