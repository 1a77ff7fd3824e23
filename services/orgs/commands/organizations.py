"""Changes of organizations."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from chassis.revisions import check_revision
from services.orgs.commands import people, regions, suspensions
from services.orgs.commands.changes import held_by, tell
from services.orgs.commands.webhooks import farewell
from services.orgs.domain import (
    MOST_CREATED,
    PERSONAL_NAME,
    Defaults,
    EmailNotVerified,
    MemberRole,
    MembershipChanged,
    MembershipEnded,
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationLimitReached,
    OrganizationPersonal,
    Person,
    UserNotFound,
    display_name,
)
from services.orgs.queries import members as member_queries
from services.orgs.queries import people as people_queries
from services.orgs.queries import regions as region_queries
from services.orgs.tables import Invitation, Member, Organization

_HOLD_CREATOR = text("SELECT pg_advisory_xact_lock(hashtextextended('creator ' || :user_id, 0))")


async def ensure_personal(
    session: AsyncSession, person: Person, defaults: Defaults, region_id: str = ""
) -> UUID:
    """Return the personal organization of a user, made if it is not there; any number may ask at once."""
    await _hold_creator(session, person.user_id)
    verified = await people.note(session, person)
    personal = select(Organization.id).where(
        Organization.created_by == person.user_id, Organization.personal
    )
    existing = await session.scalar(personal)
    if existing is not None:
        if verified:
            await suspensions.lift_unverified(session, person.user_id)
        return existing
    region_id = region_id or defaults.region_id
    organization = _draft(PERSONAL_NAME, person.user_id, region_id, defaults)
    organization.personal = True
    if defaults.verified_email_required and not verified:
        organization.unverified_since = func.now()
    return await _found(session, organization, defaults)


async def create(
    session: AsyncSession,
    user_id: str,
    *,
    name: str,
    region_id: str,
    email_verified: bool,
    defaults: Defaults,
) -> UUID:
    """Make a collaborative organization whose first owner is the user."""
    if defaults.verified_email_required and not email_verified:
        # What is wrong with the request itself is said first.
        display_name(name)
        raise EmailNotVerified("verify your e-mail address first")
    return await _create(session, user_id, name, region_id, defaults)


async def create_for(
    session: AsyncSession, user_id: str, *, name: str, region_id: str, defaults: Defaults
) -> UUID:
    """Make a collaborative organization for somebody else, who is its first owner. Refused with USER_NOT_FOUND."""
    display_name(name)
    if not await people_queries.known(session, user_id):
        raise UserNotFound("there is no such user", userId=user_id[:100])
    return await _create(session, user_id, name, region_id, defaults)


async def set_default_region(
    session: AsyncSession,
    organization_id: UUID | None,
    user_id: str,
    request: Any,
    defaults: Defaults,
) -> None:
    organization = await held_by(session, organization_id, user_id)
    check_revision(organization.revision, request)
    region = await region_queries.shared(session, request.region_id)
    organization.default_region_id = region.id
    if region.enforce_quotas:
        await regions.grant(session, organization.id, region.id, defaults.region_totals)
    field = "defaultRegionId"
    await tell(session, organization, "update", field, **{field: region.id})


async def delete(
    session: AsyncSession, organization_id: UUID | None, user_id: str, request: Any
) -> None:
    """Delete an organization and all that is kept of it here; each membership that ends is announced."""
    organization = await held_by(session, organization_id, user_id)
    check_revision(organization.revision, request)
    if organization.personal:
        raise OrganizationPersonal("a personal organization cannot be deleted")
    id_ = str(organization.id)
    ended = [
        MembershipEnded(id_, u) for u in await member_queries.user_ids(session, organization.id)
    ]
    await farewell.bid(session, organization.id, organization.name)
    await people.forget_accounts(session, organization.id)
    # Before the organization, whose roles would go first: what invitations offer cannot be deleted.
    await session.execute(
        delete_from(Invitation).where(Invitation.organization_id == organization.id)
    )
    await session.execute(delete_from(Organization).where(Organization.id == organization.id))
    # First what is at the bottom of it: who listens is told that, not that a membership ended.
    await announce(session, OrganizationDeleted(id_), *ended, organization_id=id_)


async def _create(
    session: AsyncSession, user_id: str, name: str, region_id: str, defaults: Defaults
) -> UUID:
    organization = _draft(display_name(name), user_id, region_id, defaults)
    await _hold_creator(session, user_id)
    created = select(func.count()).where(Organization.created_by == user_id)
    if (await session.scalar(created) or 0) >= MOST_CREATED:
        message = f"one person may make at most {MOST_CREATED} organizations"
        raise OrganizationLimitReached(message, limit=str(MOST_CREATED))
    return await _found(session, organization, defaults)


def _draft(name: str, user_id: str, region_id: str, defaults: Defaults) -> Organization:
    return Organization(
        name=name,
        created_by=user_id,
        default_region_id=region_id,
        sandbox_limited_network_egress=defaults.limited_network_egress,
        **asdict(defaults.limits),
    )


async def _found(session: AsyncSession, organization: Organization, defaults: Defaults) -> UUID:
    """Store an organization with its first owner and its share of the default region."""
    region = await region_queries.shared(session, organization.default_region_id or "")
    session.add(organization)
    await session.flush()
    id_, owner = organization.id, organization.created_by
    session.add(Member(organization_id=id_, user_id=owner, role=MemberRole.OWNER))
    await session.flush()
    if region.enforce_quotas:
        await regions.grant(session, id_, region.id, defaults.region_totals)
    await announce(
        session,
        OrganizationCreated(str(id_), organization.name, organization.personal),
        MembershipChanged(str(id_), owner, began=True),
        organization_id=id_,
    )
    return id_


async def _hold_creator(session: AsyncSession, user_id: str) -> None:
    """Let one organization of a creator be made at a time, so that counting them is exact."""
    await session.execute(_HOLD_CREATOR, {"user_id": user_id})
