"""What an organization, its members and its regions are, and what is refused. Pure: no I/O, no clock, no framework."""

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from chassis.errors import Kind, Refusal

# How many organizations one person may have made, the personal one included.
MOST_CREATED = 10
PERSONAL_NAME = "Personal"
VERIFY_REASON = "Please verify your e-mail address"
_LONGEST_NAME = 255
_MARKUP = re.compile(r"<[a-z/]", re.IGNORECASE)
_LINK = re.compile(
    r"(?:https?|ftps?|sftp|ssh|wss?|file|ldaps?)://|(?:javascript|data|mailto|tel):|www\.",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class MemberRole(StrEnum):
    OWNER = "owner"
    MEMBER = "member"


class RegionType(StrEnum):
    SHARED = "shared"
    DEDICATED = "dedicated"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a new organization may use."""

    max_cpu_per_sandbox: int
    max_memory_per_sandbox: int
    max_disk_per_sandbox: int
    snapshot_quota: int
    max_snapshot_size: int
    volume_quota: int


@dataclass(frozen=True, slots=True)
class RegionTotals:
    """What a new organization may use in a region that enforces quotas."""

    total_cpu_quota: int
    total_memory_quota: int
    total_disk_quota: int


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a new organization is given."""

    region_id: str
    limits: Limits
    region_totals: RegionTotals
    limited_network_egress: bool
    verified_email_required: bool


@dataclass(frozen=True, slots=True)
class Person:
    """A user, as auth tells."""

    user_id: str
    name: str
    email: str
    email_verified: bool


class OrganizationNameInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "ORGANIZATION_NAME_INVALID"


class EmailNotVerified(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "EMAIL_NOT_VERIFIED"


class OrganizationLimitReached(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "ORGANIZATION_LIMIT_REACHED"


class RegionNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "REGION_NOT_FOUND"


class UserNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "USER_NOT_FOUND"


class OrganizationPersonal(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "ORGANIZATION_PERSONAL"


class LastOwner(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "LAST_OWNER"


class NotAMember(Refusal):
    """One for all causes: an unknown organization, a malformed id and somebody else's look the same."""

    kind, reason = Kind.NOT_FOUND, "NOT_A_MEMBER"

    def __init__(self) -> None:
        super().__init__("the user is not a member of the organization")


class OrganizationNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "ORGANIZATION_NOT_FOUND"


# The two below say what the door says when auth already knows: a caller whose membership or ownership ended a moment
# ago must not be able to tell the difference.
class OrganizationForbidden(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "ORGANIZATION_FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("the caller does not act in this organization")


class OwnerRequired(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "OWNER_REQUIRED"

    def __init__(self) -> None:
        super().__init__("only an owner of the organization may do this")


# Events: each dataclass is a payload of ratoon.events.v1.Event, named like it.
@dataclass(frozen=True, slots=True)
class OrganizationCreated:
    organization_id: str
    name: str
    personal: bool


@dataclass(frozen=True, slots=True)
class OrganizationChanged:
    organization_id: str
    fields: list[str]


@dataclass(frozen=True, slots=True)
class OrganizationDeleted:
    organization_id: str


@dataclass(frozen=True, slots=True)
class MembershipChanged:
    organization_id: str
    user_id: str
    began: bool = False


@dataclass(frozen=True, slots=True)
class MembershipEnded:
    organization_id: str
    user_id: str


def display_name(name: str) -> str:
    """Return a name that is safe to show to others; refuse markup, links, control characters, blanks, excess."""
    if not name.strip():
        raise OrganizationNameInvalid("the name must not be empty")
    if len(name) > _LONGEST_NAME:
        raise OrganizationNameInvalid(f"the name may have at most {_LONGEST_NAME} characters")
    if not showable(name):
        raise OrganizationNameInvalid("the name must not hold markup, links or control characters")
    return name


def showable(text: str) -> bool:
    """Tell whether a text is safe to show to others: it holds no markup, no links, no control characters."""
    return not (_MARKUP.search(text) or _LINK.search(text) or _CONTROL.search(text))


def storable(text: str) -> bool:
    """Tell whether PostgreSQL can hold the text at all; an id that it cannot hold names nothing."""
    return "\x00" not in text


def uuid_of(text: str) -> UUID | None:
    """Return the id, or None when the text is not one."""
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
