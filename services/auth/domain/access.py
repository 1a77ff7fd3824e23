"""Where a credential acts and what it may do there."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from chassis.errors import Kind, Refusal
from chassis.permissions import ALL, READ_SCOPES

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_JWT = re.compile(r"eyJ[\w-]*\.eyJ[\w-]*\.[\w-]*", re.ASCII)


class CredentialInvalid(Refusal):
    """Unknown, expired, revoked: one refusal, so that nobody learns which."""

    kind, reason = Kind.UNAUTHENTICATED, "CREDENTIAL_INVALID"

    def __init__(self) -> None:
        super().__init__("the credential is not valid")


class OrganizationForbidden(Refusal):
    """No such organization, no member of it, or a key of another: one refusal."""

    kind, reason = Kind.PERMISSION_DENIED, "ORGANIZATION_FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("the credential gives no access to this organization")


class OrganizationsUnavailable(Refusal):
    kind, reason = Kind.UNAVAILABLE, "ORGANIZATIONS_UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What an organization allows instead of the installation: requests a window, and its length."""

    authenticated_limit: int | None = None
    authenticated_seconds: int | None = None
    sandbox_create_limit: int | None = None
    sandbox_create_seconds: int | None = None
    sandbox_lifecycle_limit: int | None = None
    sandbox_lifecycle_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """What a person is in an organization, and the limits that the organization has for itself."""

    organization_id: str
    owner: bool
    permissions: frozenset[str]
    rate_limits: RateLimits | None = None
    service_account: bool = False

    @property
    def held(self) -> frozenset[str]:
        """Return what the member may do; whoever is one may read what the read scopes name."""
        return ALL if self.owner else self.permissions | READ_SCOPES


@dataclass(frozen=True, slots=True)
class Hints:
    """The organizations that a request names. Empty: none."""

    path: str = ""
    header: str = ""

    def chosen(self) -> str:
        """Return the organization to act in, the path's before the header's, in its canonical spelling."""
        return _canonical(self.path or self.header)

    def for_key_of(self, organization_id: str) -> str:
        """Return the key's own organization, whatever the header says; refuse a path that names another."""
        if self.path and _canonical(self.path) != organization_id:
            raise OrganizationForbidden
        return organization_id


def looks_like_jwt(credential: str) -> bool:
    return _JWT.fullmatch(credential) is not None


def is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def permitted_to_key(listed: Iterable[str], membership: Membership | None) -> frozenset[str]:
    """Return what a key may do now: what it lists, as far as its holder may."""
    return membership.held.intersection(listed) if membership else frozenset()


def _canonical(organization_id: str) -> str:
    # What is no UUID names no organization, and is told apart from an unknown one by nothing.
    if organization_id and not is_uuid(organization_id):
        raise OrganizationForbidden
    return organization_id.lower()
