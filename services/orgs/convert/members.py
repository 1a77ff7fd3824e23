"""Memberships and roles to protobuf; the order of the columns is that of `queries.members`."""

from typing import Any

from ratoon.access.v1 import access_pb2
from ratoon.orgs.v1 import member_pb2 as pb
from ratoon.orgs.v1 import member_service_pb2 as service_pb
from ratoon.orgs.v1 import role_pb2
from services.orgs.convert.times import stamp

_ROLES = {
    "owner": access_pb2.ORGANIZATION_ROLE_OWNER,
    "member": access_pb2.ORGANIZATION_ROLE_MEMBER,
}


def membership_to_proto(row: Any) -> service_pb.ResolveMembershipResponse:
    organization, role, permissions, limits, service_account = row
    answer = service_pb.ResolveMembershipResponse(
        organization_id=organization,
        role=_ROLES[role],
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
    for user_id, created, updated, role, name, email, *assigned in rows:
        if not members or members[-1].user_id != user_id:
            members.append(
                pb.Member(
                    organization_id=organization_id,
                    create_time=stamp(created),
                    update_time=stamp(updated),
                    user_id=user_id,
                    name=name,
                    email=email,
                    role=_ROLES[role],
                )
            )
        if assigned[0] is not None:
            members[-1].roles.append(_role_to_proto(assigned))
    return members


def _role_to_proto(columns: list[Any]) -> role_pb2.Role:
    id_, created, updated, name, description, permissions, is_global = columns
    return role_pb2.Role(
        id=id_,
        create_time=stamp(created),
        update_time=stamp(updated),
        name=name,
        description=description,
        permissions=permissions,
        is_global=is_global,
    )
