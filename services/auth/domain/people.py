"""People, as an issuer's claims or an operator made them known."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from chassis.errors import Kind, Refusal
from services.auth.domain.access import CredentialInvalid
from services.auth.domain.display import has_control, tidy

ADMIN_ID = "ratoon-admin"
UNKNOWN = "Unknown"
# How orgs names its service accounts.
SERVICE_ACCOUNT_PREFIX = "service-account-"
NEVER = datetime.fromtimestamp(0, UTC)
_EMAIL = re.compile(r"[^\s@<>()\",;:\\]{1,64}@[^\s@<>()\",;:\\]{1,253}")
_LONGEST_ID, _LONGEST_EMAIL = 255, 254


class EmailInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "EMAIL_INVALID"


class EmailTaken(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "EMAIL_TAKEN"


class UserNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "USER_NOT_FOUND"


class IssuerUnavailable(Refusal):
    kind, reason = Kind.UNAVAILABLE, "ISSUER_UNAVAILABLE"


class SystemRole(StrEnum):
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user. `settled`: orgs was told, and has the personal organization. `local`: made here, not by an issuer.

    A service account has a row only so that keys can be held by it; nobody is behind it.
    """

    id: str
    name: str
    email: str
    email_verified: bool
    created_at: datetime
    updated_at: datetime
    system_role: SystemRole = SystemRole.USER
    local: bool = False
    settled: bool = False
    claims_at: datetime = NEVER
    disabled_at: datetime | None = None
    public_key: str | None = None
    service_account: bool = False

    @property
    def system_admin(self) -> bool:
        return self.system_role is SystemRole.ADMIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a verified token says. None: it says nothing about that."""

    subject: str
    name: str = UNKNOWN
    email: str | None = None
    email_verified: bool | None = None
    issued_at: datetime = NEVER
    expires_at: float


class Issuer(Protocol):
    """Verifies tokens. Refuses with CREDENTIAL_INVALID, or ISSUER_UNAVAILABLE while it never had the issuer's keys."""

    async def verify(self, token: str) -> Claims: ...


def claims_of(verified: Mapping[str, Any]) -> Claims:
    """Return what Ratoon reads in a token whose signature, issuer, audience and times are verified."""
    # Okta's access tokens carry the user's id in `uid` and the address in `sub`.
    okta = bool(verified.get("cid") and verified.get("uid"))
    subject = verified.get("uid" if okta else "sub")
    if not isinstance(subject, str) or not possible_id(subject):
        raise CredentialInvalid
    email = _text(verified.get("sub" if okta else "email"))
    return Claims(
        subject=subject,
        name=_text(verified.get("name")) or _text(verified.get("username")) or UNKNOWN,
        email=email or None,
        email_verified=_flag(verified.get("email_verified")),
        issued_at=_moment(verified.get("iat")),
        expires_at=float(verified["exp"]),
    )


def synced(person: Person, claims: Claims) -> Person:
    """Return the person as the claims have it; the same object when nothing changes.

    A token without an address changes nothing, and an older token never undoes what a newer one said. A new address
    is as verified as its claim says; the same address keeps its word while the claim is silent.
    """
    if claims.email is None or claims.issued_at < person.claims_at:
        return person
    silent = person.email_verified if claims.email == person.email else False
    verified = silent if claims.email_verified is None else claims.email_verified
    name = claims.name if person.name == UNKNOWN else person.name
    said = (name, claims.email, verified)
    if said == (person.name, person.email, person.email_verified):
        return person
    return replace(
        person,
        name=name,
        email=claims.email,
        email_verified=verified,
        claims_at=claims.issued_at,
        # An address that became verified lifts what orgs may have suspended for want of it.
        settled=person.settled and not (verified and not person.email_verified),
    )


def possible_id(text: str) -> bool:
    """Tell whether a person may have this id. What stands for a service account of orgs is no person's."""
    return (
        0 < len(text) <= _LONGEST_ID
        and not has_control(text)
        and not text.startswith(SERVICE_ACCOUNT_PREFIX)
    )


def fit_email(email: str) -> str:
    """Return the address if it can be one."""
    if len(email) > _LONGEST_EMAIL or has_control(email) or not _EMAIL.fullmatch(email):
        raise EmailInvalid("this is no e-mail address")
    return email


def _text(claim: object) -> str:
    return tidy(claim) if isinstance(claim, str) else ""


def _flag(claim: object) -> bool | None:
    # Some issuers spell booleans as text.
    if claim is True or claim == "true":
        return True
    return False if claim is False or claim == "false" else None


def _moment(claim: object) -> datetime:
    try:
        return datetime.fromtimestamp(claim, UTC) if isinstance(claim, int | float) else NEVER
    except (ValueError, OverflowError, OSError):
        raise CredentialInvalid from None
