"""Shapes of API keys."""

from typing import Annotated, Literal

import msgspec
from pydantic import Field

from gateway.schemas.base import Amount, Answer, Asked, Moment, Text, iso
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


class UpdateApiKey(Asked):
    permissions: list[Text] | None = Field(
        default=None, max_length=200, description="What the key may do; by default as it is"
    )
    expires_at: Moment | None = Field(
        default=None, description="When it stops working; null: never; by default as it is"
    )


class RotateApiKey(Asked):
    overlap_seconds: Amount = Field(
        default=0, description="For how long the old secret works on; at most 30 days"
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
    previous_expires_at: Annotated[str | None, Field(json_schema_extra=_DATE)] = Field(
        description="Until when the secret before the last rotation works; null: it does not"
    )


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
    previous_expires_at: str | None


def key_from_proto(said: ApiKey) -> Key:
    return Key(
        name=said.name,
        value=f"{said.prefix}{_HIDDEN}{said.suffix}",
        created_at=iso(said.create_time),
        permissions=said.permissions[:],
        last_used_at=_moment(said, "last_use_time"),
        expires_at=_moment(said, "expire_time"),
        user_id=said.user_id,
        organization_id=said.organization_id or None,
        previous_expires_at=_moment(said, "previous_expire_time"),
    )


def secret_from_proto(key: ApiKey, secret: str) -> ApiKeyResponse:
    return ApiKeyResponse(
        name=key.name,
        value=secret,
        created_at=iso(key.create_time),
        permissions=key.permissions[:],
        expires_at=_moment(key, "expire_time"),
    )


def _moment(
    said: ApiKey, field: Literal["last_use_time", "expire_time", "previous_expire_time"]
) -> str | None:
    return iso(getattr(said, field)) if said.HasField(field) else None
