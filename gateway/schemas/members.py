"""Shapes of members."""

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from pydantic import Field, StringConstraints

from gateway.schemas.base import NO_NUL, Answer, Asked, Text, iso
from gateway.schemas.roles import EncodedRole as Role
from gateway.schemas.roles import OrganizationRole, Roles
from ratoon.access.v1 import access_pb2
from ratoon.orgs.v1 import member_pb2 as pb

_DATE = {"format": "date-time"}
_OWNER = access_pb2.ORGANIZATION_ROLE_OWNER
MemberRole = Literal["owner", "member"]
# Whatever is longer is no id.
RoleId = Annotated[str, StringConstraints(max_length=100, pattern=NO_NUL)]
RoleIds = Annotated[list[RoleId], Field(max_length=2_000, description="Roles to assign, by id")]


class UpdateOrganizationMemberAccess(Asked):
    role: MemberRole
    assigned_role_ids: RoleIds


class CreateServiceAccount(Asked):
    name: Text = Field(min_length=1, description="Display name")
    assigned_role_ids: RoleIds = Field(default=[])


class OrganizationUser(Answer):
    user_id: str
    organization_id: str
    name: str
    email: str
    role: MemberRole
    assigned_roles: list[OrganizationRole]
    created_at: Annotated[str, Field(json_schema_extra=_DATE)]
    updated_at: Annotated[str, Field(json_schema_extra=_DATE)]
    service_account: bool = Field(description="It is no person but an account for programs")


class EncodedMember(msgspec.Struct, rename="camel"):
    """OrganizationUser, as it is encoded."""

    user_id: str
    organization_id: str
    name: str
    email: str
    role: str
    assigned_roles: list[Role]
    created_at: str
    updated_at: str
    service_account: bool


def member_from_proto(said: pb.Member) -> EncodedMember:
    return members_from_proto([said])[0]


def members_from_proto(said: Iterable[pb.Member]) -> list[EncodedMember]:
    role = Roles()
    return [
        EncodedMember(
            user_id=m.user_id,
            organization_id=m.organization_id,
            name=m.name,
            email=m.email,
            role=role_name(m.role),
            assigned_roles=[role(r) for r in m.roles],
            created_at=iso(m.create_time),
            updated_at=iso(m.update_time),
            service_account=m.service_account,
        )
        for m in said
    ]


def role_name(role: access_pb2.OrganizationRole.ValueType) -> str:
    return "owner" if role == _OWNER else "member"


def role_to_proto(role: MemberRole) -> access_pb2.OrganizationRole.ValueType:
    return _OWNER if role == "owner" else access_pb2.ORGANIZATION_ROLE_MEMBER
