"""API keys: what they may be called, what they may do, for how long."""

import hashlib
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Kind, Refusal
from chassis.permissions import ALL, canonical
from services.auth.domain.display import displayable

_SHOWN = 3
# Paths of the published API that a key's name would be hidden behind.
_UNREACHABLE = frozenset({"current", ".", ".."})


class NameInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "API_KEY_NAME_INVALID"


class NameTaken(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "API_KEY_NAME_TAKEN"


class PermissionUnknown(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "API_KEY_PERMISSION_UNKNOWN"


class PermissionsNotHeld(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "PERMISSIONS_NOT_HELD"


class ExpiryPast(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "API_KEY_EXPIRY_PAST"


class ApiKeyNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "API_KEY_NOT_FOUND"


class NotKeyHolder(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "NOT_KEY_HOLDER"


class TooManyUses(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "TOO_MANY_USES"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key without its secret. An account key has no organization."""

    id: str
    organization_id: str | None
    user_id: str
    name: str
    permissions: tuple[str, ...]
    prefix: str
    suffix: str
    created_at: datetime
    system_admin: bool = False
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A key that is wanted. An account key has no organization."""

    organization_id: str | None
    user_id: str
    name: str
    permissions: tuple[str, ...]
    expires_at: datetime | None = None
    system_admin: bool = False


def digest(secret: str) -> bytes:
    """Return what is stored of a secret. It is random enough that nothing slower is needed."""
    return hashlib.sha256(secret.encode()).digest()


def prefix_of(secret: str) -> str:
    return secret[:_SHOWN]


def suffix_of(secret: str) -> str:
    return secret[-_SHOWN:]


def fit_name(name: str) -> str:
    """Return the name if a key may bear it."""
    if name in _UNREACHABLE:
        raise NameInvalid(f"a key named {name} could not be reached by its name", name=name)
    if not displayable(name):
        raise NameInvalid("a name has 1 to 255 characters and no markup, link or control character")
    return name


def fit_permissions(asked: Iterable[str], held: Set[str]) -> tuple[str, ...]:
    """Return the permissions under today's names, each once, if they exist and whoever asks holds them."""
    permissions = tuple(dict.fromkeys(canonical(p) for p in asked))
    if unknown := [p for p in permissions if p not in ALL]:
        shown = ascii(unknown[0][:64])
        raise PermissionUnknown(f"there is no permission {shown}", permission=shown)
    if missing := ", ".join(p for p in permissions if p not in held):
        raise PermissionsNotHeld(f"not held by the caller: {missing}", permissions=missing)
    return permissions


def fit_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    """Return the expiry if it lies ahead."""
    if expires_at is not None and expires_at <= now:
        raise ExpiryPast("the expiry must lie in the future")
    return expires_at
