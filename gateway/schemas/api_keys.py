"""Shapes of API keys."""

from typing import Annotated

import msgspec
from pydantic import Field

from gateway.schemas.base import Answer, Asked, Moment, Text, iso
from ratoon.auth.v1 import api_key_service_pb2
from ratoon.auth.v1.api_key_pb2 import ApiKey

_HIDDEN = "*" * 20
_DATE = {"format": "date-time"}


class CreateApiKey(Asked):
    name: Text = Field(
        min_length=1, description="Unique among the caller's keys of the organization"
    )
    permissions: list[Text] = Field(max_length=200, description="What the key may do")
    expires_at: Moment | None = Field(
        default=None, description="When it stops working; by default never"
    )


class ApiKeyResponse(Answer):
    name: str
    value: str = Field(description="The secret; it is shown this once")
    created_at: Annotated[str, Field(json_schema_extra=_DATE)]
    permissions: list[str]
    expires_at: Annotated[str | None, Field(json_schema_extra=_DATE)]


class ApiKeyList(Answer):
    name: str
    value: str = Field(description="The secret, all but its ends hidden")
    created_at: Annotated[str, Field(json_schema_extra=_DATE)]
    permissions: list[str]
    last_used_at: Annotated[str | None, Field(json_schema_extra=_DATE)]
    expires_at: Annotated[str | None, Field(json_schema_extra=_DATE)]
    user_id: str = Field(description="Its holder")
    organization_id: str | None = Field(description="Its organization; null for an account key")


class Key(msgspec.Struct, rename="camel"):
    """ApiKeyList, as it is encoded."""

    name: str
    value: str
    created_at: str
    permissions: list[str]
    last_used_at: str | None
    expires_at: str | None
    user_id: str
    organization_id: str | None


def key_from_proto(said: ApiKey) -> Key:
    return Key(
        name=said.name,
        value=f"{said.prefix}{_HIDDEN}{said.suffix}",
        created_at=iso(said.create_time),
        permissions=said.permissions[:],
        last_used_at=iso(said.last_use_time) if said.HasField("last_use_time") else None,
        expires_at=iso(said.expire_time) if said.HasField("expire_time") else None,
        user_id=said.user_id,
        organization_id=said.organization_id or None,
    )


def created_from_proto(said: api_key_service_pb2.CreateApiKeyResponse) -> ApiKeyResponse:
    key = said.api_key
    return ApiKeyResponse(
        name=key.name,
        value=said.secret,
        created_at=iso(key.create_time),
        permissions=key.permissions[:],
        expires_at=iso(key.expire_time) if key.HasField("expire_time") else None,
    )
