"""What a role is, and what is refused about roles."""

from collections.abc import Iterable

from chassis.errors import Kind, Refusal
from chassis.permissions import ALL, READ_SCOPES, canonical
from services.orgs.domain import showable

# How many roles one organization may have made.
MOST_ROLES = 1_000
# How many of those who hold a role are named when it cannot be deleted.
MOST_NAMED = 10
# Whose change is told of each by each; of more, the whole organization is told of.
MOST_HOLDERS_TOLD = 100
# Every member may read what the read scopes name; no role has to give that.
_GRANTABLE = ALL - READ_SCOPES
_LONGEST_NAME, _LONGEST_DESCRIPTION = 255, 1_000


class RoleNameInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "ROLE_NAME_INVALID"


class RoleDescriptionInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "ROLE_DESCRIPTION_INVALID"


class RolePermissionsInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "ROLE_PERMISSIONS_INVALID"


class RoleLimitReached(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "ROLE_LIMIT_REACHED"


class RoleNotFound(Refusal):
    """One for all causes: an unknown role, a malformed id and another organization's look the same."""

    kind, reason = Kind.NOT_FOUND, "ROLE_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such role in the organization")


class RoleGlobal(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "ROLE_GLOBAL"

    def __init__(self) -> None:
        super().__init__("a global role cannot be changed")


class RoleAssigned(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "ROLE_ASSIGNED"


class RolesInvalid(Refusal):
    """Roles that shall be assigned and cannot be: unknown, malformed, of another organization, or one twice."""

    kind, reason = Kind.INVALID_ARGUMENT, "ROLES_INVALID"


def role_name(name: str) -> str:
    """Return a role's name, which may be empty."""
    if len(name) > _LONGEST_NAME or not showable(name):
        message = f"a role's name has at most {_LONGEST_NAME} characters, no markup, no links, no control characters"
        raise RoleNameInvalid(message)
    return name


def role_description(description: str) -> str:
    """Return a role's description, which may be empty."""
    if len(description) > _LONGEST_DESCRIPTION or not showable(description):
        message = (
            f"a role's description has at most {_LONGEST_DESCRIPTION} characters,"
            " no markup, no links, no control characters"
        )
        raise RoleDescriptionInvalid(message)
    return description


def role_permissions(permissions: Iterable[str]) -> list[str]:
    """Return the permissions by their names of today, each once."""
    wanted = list(dict.fromkeys(map(canonical, permissions)))
    if not wanted:
        raise RolePermissionsInvalid("a role permits at least one thing")
    unknown = [p for p in wanted if p not in _GRANTABLE]
    if unknown:
        named = unknown[0][:100]
        raise RolePermissionsInvalid(f"no role can permit {named!r}", permission=named)
    return wanted
