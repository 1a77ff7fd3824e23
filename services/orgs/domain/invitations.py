"""What an invitation is and may become, and what is refused about invitations."""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from chassis.errors import Kind, Refusal
from services.orgs.domain import MemberRole

# How many invitations of one organization may be pending.
MOST_PENDING = 1_000
LIFETIME = timedelta(days=7)
# How long after a mail the next one may go out.
MAIL_PAUSE = timedelta(minutes=1)
_LONGEST = 254
_LABEL = r"[^\s@<>()\[\]\",;:\\.\x00-\x1f\x7f]+"
_ADDRESS = re.compile(rf"[^\s@<>()\[\]\",;:\\\x00-\x1f\x7f]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")
# The letters A to Z and no others: what other letters become is no matter of mail, and two that look alike must never
# become one address.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class InvitationStatus(StrEnum):
    """As published, and `lapsed`: expired, and another one of the same address came after it; shown as pending."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Offer:
    """What an invitation offers, as it is asked for. No end: the usual one, or the one it has."""

    role: MemberRole
    role_ids: Sequence[str]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """How invitations reach whom they are for: by mail, or by a link that the inviter passes on."""

    dashboard_url: str
    by_mail: bool

    def link(self, invitation_id: str) -> str:
        return f"{self.dashboard_url}/user/invitations?id={invitation_id}"


class EmailInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "EMAIL_INVALID"


class ExpiryPast(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "EXPIRY_PAST"


class AlreadyAMember(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "ALREADY_A_MEMBER"


class AlreadyInvited(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "ALREADY_INVITED"


class InvitationLimitReached(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "INVITATION_LIMIT_REACHED"


class InvitationNotFound(Refusal):
    """One for all causes: unknown, malformed, of another organization and for another address look the same."""

    kind, reason = Kind.NOT_FOUND, "INVITATION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such invitation")


class InvitationExpired(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "INVITATION_EXPIRED"

    def __init__(self) -> None:
        super().__init__("the invitation has expired")


class InvitationNotPending(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "INVITATION_NOT_PENDING"

    def __init__(self, status: InvitationStatus) -> None:
        super().__init__(f"the invitation was {status} already", status=status)


class MailTooSoon(Refusal):
    kind, reason = Kind.RESOURCE_EXHAUSTED, "MAIL_TOO_SOON"

    def __init__(self) -> None:
        super().__init__("the last mail went out less than a minute ago")


def address(email: str) -> str:
    """Return an e-mail address as it is compared and kept."""
    if len(email) > _LONGEST or not _ADDRESS.fullmatch(email):
        raise EmailInvalid("this is no e-mail address")
    return folded(email)


def folded(email: str) -> str:
    """Return somebody's address in the form in which invitations keep theirs."""
    return email.strip().translate(_LOWER)


def expiry(wanted: datetime | None, now: datetime) -> datetime:
    """Return when an invitation ends that is made now."""
    if wanted is not None and wanted <= now:
        raise ExpiryPast("an invitation ends in the future")
    return wanted or now + LIFETIME


def check_open(status: InvitationStatus, expires_at: datetime, now: datetime) -> None:
    """Refuse what can no longer be acted on: first what has expired, then what is not pending."""
    if expires_at <= now:
        raise InvitationExpired
    if status is not InvitationStatus.PENDING:
        raise InvitationNotPending(status)
