"""Memberships to protobuf; the order of the columns is that of `queries.columns` and `queries.members`."""

from typing import Any

from ratoon.access.v1 import access_pb2
from ratoon.orgs.v1 import member_pb2 as pb
from ratoon.orgs.v1 import member_service_pb2 as service_pb
from services.orgs.convert.roles import Roles
from services.orgs.convert.times import micros_of, set_stamp
from services.orgs.domain import MemberRole

ROLES = {
    "owner": access_pb2.ORGANIZATION_ROLE_OWNER,
    "member": access_pb2.ORGANIZATION_ROLE_MEMBER,
}
_DETAILS = 8


def member_role_from_proto(role: access_pb2.OrganizationRole.ValueType) -> MemberRole:
    """Return the role; whatever is not owner is the least."""
    return MemberRole.OWNER if role == ROLES["owner"] else MemberRole.MEMBER


def membership_to_proto(row: Any) -> service_pb.ResolveMembershipResponse:
    organization, role, permissions, limits, service_account = row
    answer = service_pb.ResolveMembershipResponse(
        organization_id=organization,
        role=ROLES[role],
        permissions=permissions,
        service_account=service_account,
    )
    if limits:
        names = [field.name for field in service_pb.RateLimits.DESCRIPTOR.fields]
        own = dict(zip(names, limits, strict=True))
        answer.rate_limits.CopyFrom(service_pb.RateLimits(**own))
    return answer


def members_to_proto(organization_id: str, rows: list[Any]) -> list[pb.Member]:
    """Return the members; rows of one member follow each other, and each tells of one of the member's roles."""
    members: list[pb.Member] = []
    roles, last = Roles(), None
    for row in rows:
        if row[0] != last:
            user_id, created, updated, role, name, email, revision, account = row[:_DETAILS]
            last = user_id
            # Field by field: half the cost of naming them all to the constructor, and there may be thousands.
            member = pb.Member()
            member.organization_id = organization_id
            set_stamp(member.create_time, created)
            set_stamp(member.update_time, updated)
            member.user_id, member.name, member.email = user_id, name, email
            member.role, member.revision = ROLES[role], revision
            member.service_account = account
            members.append(member)
        roles.add(members[-1].roles, row[_DETAILS:])
    return members


def position_of(member: pb.Member) -> tuple[int, str]:
    """Return where a member stands in the list."""
    return micros_of(member.create_time), member.user_id
