"""People made, disabled and given key pairs by an administrator, in the caller's transaction."""

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from services.auth.commands.people import audited_creation, person_of, take_in
from services.auth.commands.revocation import revoke
from services.auth.domain.events import Audited
from services.auth.domain.people import Person, SystemRole, UserNotFound
from services.auth.domain.users import Draft, LastAdmin, UserExists
from services.auth.tables import UserRow


async def create(session: AsyncSession, draft: Draft) -> Person:
    """Make the person. Refused with USER_EXISTS."""
    person = await take_in(
        session,
        id=draft.id,
        name=draft.name,
        email=draft.email,
        email_verified=draft.email_verified,
        system_role=draft.system_role,
        local=draft.local,
    )
    if person is None:
        raise UserExists("this user is known", id=draft.id)
    await announce(session, audited_creation(person))
    return person


async def set_disabled(
    session: AsyncSession, user_id: str, email: str, *, disabled: bool
) -> Person:
    """Refuse all that the person holds, or accept it again. Refused with USER_NOT_FOUND or LAST_ADMIN."""
    # All of them, in one order: two administrators who disable each other do so one after the other.
    enabled = select(UserRow.id).where(
        UserRow.system_role == SystemRole.ADMIN, UserRow.disabled_at.is_(None)
    )
    admins = (await session.scalars(enabled.order_by(UserRow.id).with_for_update())).all()
    row = await _held(session, user_id, email)
    if disabled == (row.disabled_at is not None):
        return person_of(row)
    if disabled and list(admins) == [row.id]:
        raise LastAdmin("nobody would be left to look after the installation", id=row.id)
    row.disabled_at = await session.scalar(select(func.now())) if disabled else None
    metadata = msgspec.json.encode({"disabled": disabled}).decode()
    await _changed(session, row, Audited("update", "user", row.id, metadata))
    if disabled:
        await revoke(session, user_id=row.id)
    return person_of(row)


async def set_public_key(session: AsyncSession, user_id: str, public_key: str) -> Person:
    """Keep the public part of a new key pair. Refused with USER_NOT_FOUND."""
    row = await _held(session, user_id, "")
    row.public_key = public_key
    await _changed(session, row, Audited("regenerate_key_pair", "user", row.id))
    return person_of(row)


async def _held(session: AsyncSession, user_id: str, email: str) -> UserRow:
    """Return a person by id or, of those made here, by address; held until the transaction ends."""
    row = None
    if "\0" not in user_id + email:  # nothing that the database could compare
        people = select(UserRow).where(~UserRow.service_account).with_for_update()
        if user_id:
            row = await session.scalar(people.where(UserRow.id == user_id))
        else:
            address = func.lower(UserRow.email) == func.lower(email)
            row = await session.scalar(people.where(address, UserRow.local))
    if row is None:
        raise UserNotFound("there is no such user")
    return row


async def _changed(session: AsyncSession, row: UserRow, audited: Audited) -> None:
    row.updated_at = await session.scalar(select(func.now())) or row.updated_at
    await session.flush()
    await announce(session, audited)
