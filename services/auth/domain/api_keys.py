"""API keys: what they may be called, what they may do, for how long."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.errors import Kind, Refusal
from services.auth.domain.display import displayable

_SHOWN = 3
_LONGEST_OVERLAP = timedelta(days=30)
_MOST_UNUSED_DAYS = 36_500
# Paths of the published API that a key's name would be hidden behind.
_UNREACHABLE = frozenset({"current", ".", ".."})


class NameInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "API_KEY_NAME_INVALID"


class NameTaken(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "API_KEY_NAME_TAKEN"


class ExpiryPast(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "API_KEY_EXPIRY_PAST"


class ApiKeyNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "API_KEY_NOT_FOUND"


class NotKeyHolder(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "NOT_KEY_HOLDER"


class ServiceAccountNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "SERVICE_ACCOUNT_NOT_FOUND"


class OverlapInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "OVERLAP_INVALID"


class UnusedDaysInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "UNUSED_DAYS_INVALID"


class TooManyUses(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "TOO_MANY_USES"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key without its secret. An account key has no organization.

    `previous_expires_at` is until when the secret before the last rotation works on; None: it does not.
    """

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
    previous_expires_at: datetime | None = None
    revision: int = 1


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


def fit_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    """Return the expiry if it lies ahead."""
    if expires_at is not None and expires_at <= now:
        raise ExpiryPast("the expiry must lie in the future")
    return expires_at


def fit_overlap(seconds: int) -> timedelta:
    """Return for how long the secret before a rotation works on."""
    most = int(_LONGEST_OVERLAP.total_seconds())
    if not 0 <= seconds <= most:
        raise OverlapInvalid(f"an overlap has 0 to {most} seconds", most=str(most))
    return timedelta(seconds=seconds)


def fit_unused_days(days: int) -> int:
    if not 0 <= days <= _MOST_UNUSED_DAYS:
        most = str(_MOST_UNUSED_DAYS)
        raise UnusedDaysInvalid(f"unused for 0 to {most} days", most=most)
    return days
