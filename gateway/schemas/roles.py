"""Shapes of roles."""

from typing import Annotated

import msgspec
from pydantic import Field

from gateway.schemas.base import Answer, Asked, Text, iso
from ratoon.orgs.v1 import role_pb2 as pb

_DATE = {"format": "date-time"}


class CreateOrganizationRole(Asked):
    name: Text = Field(description="Display name")
    description: Text = Field(description="What it is for")
    permissions: list[Text] = Field(
        min_length=1, max_length=200, description="What it permits to whoever holds it"
    )


class UpdateOrganizationRole(CreateOrganizationRole):
    pass


class OrganizationRole(Answer):
    id: str
    name: str
    description: str
    permissions: list[str]
    is_global: bool
    created_at: Annotated[str, Field(json_schema_extra=_DATE)]
    updated_at: Annotated[str, Field(json_schema_extra=_DATE)]


class EncodedRole(msgspec.Struct, rename="camel"):
    """OrganizationRole, as it is encoded."""

    id: str
    name: str
    description: str
    permissions: list[str]
    is_global: bool
    created_at: str
    updated_at: str


def role_from_proto(said: pb.Role) -> EncodedRole:
    return EncodedRole(
        id=said.id,
        name=said.name,
        description=said.description,
        permissions=said.permissions[:],
        is_global=said.is_global,
        created_at=iso(said.create_time),
        updated_at=iso(said.update_time),
    )


class Roles:
    """The roles of a list's items: each is read once, however many hold it."""

    def __init__(self) -> None:
        self._known: dict[str, EncodedRole] = {}

    def __call__(self, said: pb.Role) -> EncodedRole:
        id_ = said.id
        role = self._known.get(id_)
        if role is None:
            role = self._known[id_] = role_from_proto(said)
        return role
