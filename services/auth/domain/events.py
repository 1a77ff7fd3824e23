"""What auth tells the other contexts; names and fields as in ratoon.events.v1."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UserChanged:
    user_id: str
    name: str
    email: str
    email_verified: bool


@dataclass(frozen=True, slots=True)
class CallerRevoked:
    """Something that was cached about callers holds no longer; all that is set must match."""

    api_key_id: str = ""
    user_id: str = ""
    organization_id: str = ""


@dataclass(frozen=True, slots=True)
class Audited:
    """What belongs into the audit log and no other event says; `metadata` is JSON, secrets left out."""

    action: str
    target_type: str = ""
    target_id: str = ""
    metadata: str = ""
    # Where the target is told by name.
    internal_id: str = ""


@dataclass(frozen=True, slots=True)
class ApiKeyCreated:
    api_key_id: str
    user_id: str
    name: str
    permissions: tuple[str, ...]
