"""What is refused about members, and what a service account is."""

from uuid import uuid4

from chassis.errors import Kind, Refusal
from services.orgs.domain import showable

# How many service accounts one organization may have.
MOST_ACCOUNTS = 1_000
ACCOUNT_PREFIX = "service-account-"
_LONGEST_NAME = 255


class MemberNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "MEMBER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such member of the organization")


class OwnAccess(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "OWN_ACCESS"

    def __init__(self) -> None:
        super().__init__("nobody changes the own access")


class ServiceAccountOwner(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "SERVICE_ACCOUNT_OWNER"

    def __init__(self) -> None:
        super().__init__("an account for programs owns nothing")


class ServiceAccountNameInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "SERVICE_ACCOUNT_NAME_INVALID"


class ServiceAccountLimitReached(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "SERVICE_ACCOUNT_LIMIT_REACHED"


def account_name(name: str) -> str:
    if not name.strip() or len(name) > _LONGEST_NAME or not showable(name):
        message = f"a name has 1 to {_LONGEST_NAME} characters, no markup, no links, no control characters"
        raise ServiceAccountNameInvalid(message)
    return name


def new_account_id() -> str:
    """Return a user id that no person can have."""
    return f"{ACCOUNT_PREFIX}{uuid4()}"
