"""Shapes of invitations."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import Field

from gateway.schemas.base import Answer, Asked, Moment, Text, iso
from gateway.schemas.members import MemberRole, RoleIds, role_name
from gateway.schemas.roles import EncodedRole as Role
from gateway.schemas.roles import OrganizationRole, Roles
from ratoon.orgs.v1 import invitation_pb2 as pb

_DATE = {"format": "date-time"}
_STATUSES = {
    pb.INVITATION_STATUS_PENDING: "pending",
    pb.INVITATION_STATUS_ACCEPTED: "accepted",
    pb.INVITATION_STATUS_DECLINED: "declined",
    pb.INVITATION_STATUS_CANCELLED: "cancelled",
}


class CreateOrganizationInvitation(Asked):
    email: Text = Field(description="Whom to invite; whoever accepts must have this address")
    role: MemberRole
    assigned_role_ids: RoleIds
    expires_at: Moment | None = Field(
        default=None, description="When the offer ends; by default in seven days"
    )


class UpdateOrganizationInvitation(Asked):
    role: MemberRole
    assigned_role_ids: RoleIds
    expires_at: Moment | None = Field(
        default=None, description="When the offer ends; by default as it was"
    )


class OrganizationInvitation(Answer):
    id: str
    email: str
    invited_by: str
    organization_id: str
    organization_name: str
    expires_at: Annotated[str, Field(json_schema_extra=_DATE)]
    status: Literal["pending", "accepted", "declined", "cancelled"]
    role: MemberRole
    assigned_roles: list[OrganizationRole]
    created_at: Annotated[str, Field(json_schema_extra=_DATE)]
    updated_at: Annotated[str, Field(json_schema_extra=_DATE)]
    link: str | None = Field(
        default=None,
        description="Where to accept it; only for whoever invites, and only where no mail is sent",
    )


class EncodedInvitation(msgspec.Struct, rename="camel"):
    """OrganizationInvitation, as it is encoded."""

    id: str
    email: str
    invited_by: str
    organization_id: str
    organization_name: str
    expires_at: str
    status: str
    role: str
    assigned_roles: list[Role]
    created_at: str
    updated_at: str
    link: str | msgspec.UnsetType


def invitation_from_proto(said: pb.Invitation) -> EncodedInvitation:
    return invitations_from_proto([said])[0]


def invitations_from_proto(said: Iterable[pb.Invitation]) -> list[EncodedInvitation]:
    role = Roles()
    return [
        EncodedInvitation(
            id=i.id,
            email=i.email,
            invited_by=i.invited_by,
            organization_id=i.organization_id,
            organization_name=i.organization_name,
            expires_at=iso(i.expire_time),
            status=_STATUSES[i.status],
            role=role_name(i.role),
            assigned_roles=[role(r) for r in i.roles],
            created_at=iso(i.create_time),
            updated_at=iso(i.update_time),
            link=i.link or msgspec.UNSET,
        )
        for i in said
    ]


def stamp(moment: datetime | None) -> Timestamp | None:
    """Return a moment that a client has sent, if it has."""
    if moment is None:
        return None
    sent = Timestamp()
    sent.FromDatetime(moment)
    return sent
