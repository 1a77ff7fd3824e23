"""The acceptance of an invitation: two statements, the second sees and does everything while the organization is held."""

from typing import Any, TypeAlias
from uuid import UUID

from chassis.outbox import CHANNEL, encode
from services.orgs.commands.audited import audited
from services.orgs.domain import MembershipChanged
from services.orgs.domain.invitations import (
    AlreadyAMember,
    InvitationExpired,
    InvitationNotFound,
    InvitationNotPending,
    InvitationStatus,
)
from services.orgs.queries.columns import INVITATION
from services.orgs.queries.invitations import ROLES

# asyncpg's pooled and plain connections share no type.
Connection: TypeAlias = Any

_HOLD = """
SELECT o.id FROM organizations o
WHERE o.id = (SELECT organization_id FROM invitations WHERE id = $1 AND email = $2) FOR UPDATE
"""
# The look of this statement is of after the hold: what changes invitations or memberships waits for the organization.
_ACCEPT = f"""
WITH asked AS MATERIALIZED (
    SELECT id, organization_id, role, status, expires_at <= now() AS expired FROM invitations WHERE id = $1)
, fit AS MATERIALIZED (
    SELECT * FROM asked WHERE NOT expired AND status = 'pending'
    AND NOT EXISTS (SELECT FROM members m WHERE m.organization_id = asked.organization_id AND m.user_id = $2))
, joined AS (
    INSERT INTO members (organization_id, user_id, role) SELECT organization_id, $2, role FROM fit)
, assigned AS (
    INSERT INTO member_roles (organization_id, user_id, role_id)
    SELECT fit.organization_id, $2, a.role_id FROM fit JOIN invitation_roles a ON a.invitation_id = fit.id)
, accepted AS (
    UPDATE invitations i SET status = 'accepted', revision = i.revision + 1, updated_at = now()
    FROM fit WHERE i.id = fit.id RETURNING i.*)
, told AS (
    INSERT INTO outbox (type, organization_id, payload, origin)
    SELECT e.type, fit.organization_id::text, e.payload, $5::jsonb
    FROM fit, unnest($3::text[], $4::jsonb[]) AS e (type, payload))
, woken AS MATERIALIZED (SELECT pg_notify('{CHANNEL}', '') FROM fit)
SELECT asked.status, asked.expired, (SELECT count(*) FROM woken), {INVITATION}
FROM asked LEFT JOIN accepted i ON true LEFT JOIN organizations o ON o.id = i.organization_id {ROLES}
ORDER BY r.id
"""


async def accept(
    connection: Connection, invitation_id: UUID | None, email: str, user_id: str
) -> list[Any]:
    """Make the user a member as the invitation for this address says; return it, one row for each of its roles.

    Runs in the connection's transaction. Never changes a membership that is there.
    """
    place = None
    if invitation_id is not None and email:
        place = await connection.fetchval(_HOLD, invitation_id, email)
    if place is None:
        raise InvitationNotFound
    said = audited("accept", "organization_invitation", invitation_id, email=email)
    joined = MembershipChanged(str(place), user_id, began=True)
    events = [encode(e) for e in (joined, said)]
    types, payloads, origins = zip(*events, strict=True)
    rows = await connection.fetch(_ACCEPT, invitation_id, user_id, types, payloads, origins[0])
    _check(rows)
    return [row[3:] for row in rows]


def _check(rows: list[Any]) -> None:
    """Refuse for the first reason that stands, if nothing was done."""
    if not rows:
        raise InvitationNotFound
    status, expired, done = rows[0][:3]
    if done:
        return
    if expired:
        raise InvitationExpired
    if status != InvitationStatus.PENDING:
        raise InvitationNotPending(InvitationStatus(status))
    raise AlreadyAMember("the caller is a member already")
