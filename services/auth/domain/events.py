"""What auth tells the other contexts; names and fields as in ratoon.events.v1."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UserChanged:
    user_id: str
    name: str
    email: str
    email_verified: bool


@dataclass(frozen=True, slots=True)
class ApiKeyCreated:
    api_key_id: str
    user_id: str
    name: str
    permissions: tuple[str, ...]
