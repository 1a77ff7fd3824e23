"""Shapes of users."""

from typing import Annotated

from pydantic import Field

from gateway.schemas.base import Answer, Asked, Text, iso
from ratoon.auth.v1 import user_pb2

# People have one at most, and give it no name.
_KEY_NAME = "generated"


class UserPublicKey(Answer):
    key: str
    name: str


class AccountProvider(Answer):
    name: str
    display_name: str


class CreateLinkedAccount(Asked):
    provider: Text
    user_id: Text


class PendingSsoLink(Answer):
    id: str
    idp_name: str
    organization_id: str
    provider_email: str | None
    created_at: str
    expires_at: str


class User(Answer):
    id: str
    name: str
    email: str
    email_verified: bool
    public_keys: list[UserPublicKey] = Field(
        description="The public key that was last made for the user, if there is one"
    )
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]


def user_from_proto(said: user_pb2.User) -> User:
    return User(
        id=said.id,
        name=said.name,
        email=said.email,
        email_verified=said.email_verified,
        public_keys=[UserPublicKey(key=said.public_key, name=_KEY_NAME)] if said.public_key else [],
        created_at=iso(said.create_time),
    )
