"""People taken in and kept in step with their issuer, in the caller's transaction."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from services.auth.domain.events import Audited, UserChanged
from services.auth.domain.people import NEVER, Claims, Person, SystemRole, synced
from services.auth.tables import UserRow


async def log_in(session: AsyncSession, claims: Claims) -> Person:
    """Return the person of the claims, made or brought up to date; many at once make one."""
    row = await take_in(
        session,
        id=claims.subject,
        name=claims.name,
        email=claims.email or "",
        email_verified=bool(claims.email and claims.email_verified),
        claims_at=claims.issued_at,
    )
    if row is not None:
        return row
    found = (
        await session.scalars(select(UserRow).where(UserRow.id == claims.subject).with_for_update())
    ).one()
    person = person_of(found)
    now = person if person.local else synced(person, claims)
    if now is not person:
        found.name, found.email, found.email_verified = now.name, now.email, now.email_verified
        found.claims_at, found.settled = now.claims_at, now.settled
        found.updated_at = await session.scalar(select(func.now())) or found.updated_at
        now = replace(now, updated_at=found.updated_at)
        await announce(session, _changed(now))
    return now


async def add_local(
    session: AsyncSession, *, id_: str, name: str, email: str, role: SystemRole
) -> Person | None:
    """Make a verified user; None if the id or the address is known."""
    made = await take_in(
        session,
        id=id_,
        name=name,
        email=email,
        email_verified=True,
        system_role=role,
        local=True,
        claims_at=await session.scalar(select(func.now())),
    )
    if made is not None:
        await announce(session, audited_creation(made))
    return made


async def add_account(session: AsyncSession, id_: str) -> None:
    """Make the row of a service account, so that keys can be held by it; whoever it is, orgs knows."""
    row = insert(UserRow).values(
        id=id_,
        name="",
        email="",
        email_verified=False,
        system_role=SystemRole.USER,
        local=False,
        settled=True,
        claims_at=NEVER,
        service_account=True,
    )
    await session.execute(row.on_conflict_do_nothing())


async def settle(session: AsyncSession, person: Person) -> bool:
    """Remember that orgs has the person as given here; tell whether this call was the one that did."""
    done = await session.execute(
        update(UserRow)
        .where(
            UserRow.id == person.id,
            UserRow.email_verified == person.email_verified,
            ~UserRow.settled,
        )
        .values(settled=True)
        .returning(UserRow.id)
    )
    return done.first() is not None


async def take_in(
    session: AsyncSession,
    *,
    claims_at: datetime | None = NEVER,
    local: bool = False,
    system_role: SystemRole = SystemRole.USER,
    **values: object,
) -> Person | None:
    """Make a user whom orgs has not heard of yet; None if the id or, of those made here, the address is known."""
    given = {**values, "claims_at": claims_at, "local": local, "system_role": system_role}
    statement = insert(UserRow).values(**given, settled=False).on_conflict_do_nothing()
    row = (await session.scalars(statement.returning(UserRow))).one_or_none()
    if row is None:
        return None
    person = person_of(row)
    await announce(session, _changed(person))
    return person


def audited_creation(person: Person) -> Audited:
    return Audited("create", "user", person.id)


def _changed(person: Person) -> UserChanged:
    return UserChanged(person.id, person.name, person.email, person.email_verified)


def person_of(row: UserRow) -> Person:
    return Person(
        id=row.id,
        name=row.name,
        email=row.email,
        email_verified=row.email_verified,
        created_at=row.created_at,
        updated_at=row.updated_at,
        system_role=row.system_role,
        local=row.local,
        settled=row.settled,
        claims_at=row.claims_at,
        disabled_at=row.disabled_at,
        public_key=row.public_key,
        service_account=row.service_account,
    )
