"""A role made by one statement: the owner's right, the room for it, the role and the word of it, all or nothing."""

from collections.abc import Iterable
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from chassis.outbox import CHANNEL, encode
from services.orgs.commands.audited import audited
from services.orgs.domain import MemberRole, OrganizationForbidden, OwnerRequired
from services.orgs.domain.roles import (
    MOST_ROLES,
    RoleLimitReached,
    role_description,
    role_name,
    role_permissions,
)
from services.orgs.queries.columns import ROLE

# asyncpg's pooled and plain connections share no type.
Connection: TypeAlias = Any

# The membership is locked against change, so that the right holds when the role is there; the organization against
# deletion only, so that roles are made beside each other. The number of roles is a bound, not a quota: whoever makes the
# last ones at the same moment may pass it by one another.
_CREATE = f"""
WITH here AS (SELECT id FROM organizations WHERE id = $2 FOR KEY SHARE)
, maker AS (SELECT role FROM members WHERE organization_id = $2 AND user_id = $3 FOR SHARE)
, room AS (SELECT count(*) < {MOST_ROLES} AS left FROM roles WHERE organization_id = $2)
, r AS (
    INSERT INTO roles (id, organization_id, name, description, permissions)
    SELECT $1, here.id, $4, $5, $6 FROM here, maker, room WHERE maker.role = 'owner' AND room.left RETURNING *)
, told AS (
    INSERT INTO outbox (type, organization_id, payload, origin)
    SELECT $7, organization_id::text, $8::text::jsonb, $9::text::jsonb FROM r)
, woken AS MATERIALIZED (SELECT pg_notify('{CHANNEL}', '') FROM r)
SELECT maker.role, (SELECT count(*) FROM woken), {ROLE} FROM here JOIN maker ON true LEFT JOIN r ON true
"""


async def create(
    connection: Connection,
    organization_id: UUID | None,
    owner_id: str,
    *,
    name: str,
    description: str,
    permissions: Iterable[str],
) -> list[Any]:
    """Make a role and return it as the reads do; refuse who is not (or no longer) an owner."""
    id_ = uuid4()
    told = role_name(name), role_description(description), role_permissions(permissions)
    body = dict(zip(("name", "description", "permissions"), told, strict=True))
    said = encode(audited("create", "organization_role", id_, **body))
    row = await connection.fetchrow(_CREATE, id_, organization_id, owner_id, *told, *said)
    if row is None:
        raise OrganizationForbidden
    maker, made, *role = row
    if maker != MemberRole.OWNER:
        raise OwnerRequired
    if not made:
        message = f"an organization has at most {MOST_ROLES} roles of its own"
        raise RoleLimitReached(message, limit=str(MOST_ROLES))
    return list(role)
