"""Shapes of users."""

from typing import Annotated

from pydantic import Field

from gateway.schemas.base import Answer, iso
from ratoon.auth.v1 import user_pb2


class UserPublicKey(Answer):
    key: str
    name: str


class User(Answer):
    id: str
    name: str
    email: str
    email_verified: bool
    public_keys: list[UserPublicKey] = Field(
        description="Always empty: people have no key pairs here"
    )
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]


def user_from_proto(said: user_pb2.User) -> User:
    return User(
        id=said.id,
        name=said.name,
        email=said.email,
        email_verified=said.email_verified,
        public_keys=[],
        created_at=iso(said.create_time),
    )
