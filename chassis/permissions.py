"""The words of access: what an organization's owner may permit to members and keys."""

PUBLISHED = (
    "write:registries",
    "delete:registries",
    "write:snapshots",
    "delete:snapshots",
    "write:sandboxes",
    "delete:sandboxes",
    "read:volumes",
    "write:volumes",
    "delete:volumes",
    "write:regions",
    "delete:regions",
    "read:runners",
    "write:runners",
    "delete:runners",
    "read:audit_logs",
)
# What API keys need for operations that the published API keeps for people.
MANAGEMENT = (
    "manage:organization",
    "manage:members",
    "manage:roles",
    "manage:api_keys",
    "read:limits",
)
# What a key may list so that it reads nothing else. Every member reads what they name, so everybody holds them.
READ_SCOPES = frozenset(
    (
        "read:organization",
        "read:roles",
        "read:regions",
        "read:snapshots",
        "read:sandboxes",
        "read:registries",
    )
)
# Published later; stored as they are, nothing asks for them yet.
LATER = ("manage:secrets", "manage:sso", "read:billing", "manage:billing")
ALL = frozenset((*PUBLISHED, *MANAGEMENT, *LATER, *READ_SCOPES))

_OLD_NAMES = {"write:images": "write:snapshots", "delete:images": "delete:snapshots"}


def canonical(permission: str) -> str:
    """Return today's name of a permission; older clients say `images` for snapshots."""
    return _OLD_NAMES.get(permission, permission)
