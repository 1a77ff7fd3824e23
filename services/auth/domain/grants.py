"""What whoever makes, changes or rotates a key may put into it."""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from chassis.errors import Kind, Refusal
from chassis.permissions import ALL, READ_SCOPES, canonical


class PermissionUnknown(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "API_KEY_PERMISSION_UNKNOWN"


class PermissionsNotHeld(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "PERMISSIONS_NOT_HELD"


@dataclass(frozen=True, slots=True)
class Giver:
    """Whoever gives: what it may do in the organization, and the id of the key that it is (empty: a person)."""

    permissions: frozenset[str]
    api_key_id: str = ""

    @property
    def held(self) -> frozenset[str]:
        """All that it may give: people read everything, and so does a key that names no reads."""
        return self.permissions | (reads(self.permissions) if self.api_key_id else READ_SCOPES)


def reads(permissions: Iterable[str]) -> frozenset[str]:
    """Return what a key with these permissions may read: what they name, or everything if they name nothing."""
    return READ_SCOPES.intersection(permissions) or READ_SCOPES


def fit_permissions(
    asked: Iterable[str], giver: Giver, had: Set[str] | None = None
) -> tuple[str, ...]:
    """Return the permissions under today's names, each once, if they exist and the giver may give what is new.

    `had` is what the key has (None: it is new). What it has may stay; but who adds to a key answers for all it reads.
    """
    permissions = tuple(dict.fromkeys(canonical(p) for p in asked))
    if unknown := [p for p in permissions if p not in ALL]:
        shown = ascii(unknown[0][:64])
        raise PermissionUnknown(f"there is no permission {shown}", permission=shown)
    kept = had if had is not None else frozenset[str]()
    added = [p for p in permissions if p not in kept]
    read = reads(kept) if had is not None and not added else frozenset[str]()
    wider = sorted(reads(permissions) - giver.held - read - set(added))
    _refuse([p for p in added if p not in giver.held] + wider)
    return permissions


def check_rotation(permissions: Iterable[str], key_id: str, giver: Giver) -> None:
    """Refuse a key that would get the secret of another that may more than itself."""
    if giver.api_key_id and giver.api_key_id != key_id:
        listed = frozenset(permissions)
        _refuse(sorted((listed | reads(listed)) - giver.held))


def _refuse(missing: list[str]) -> None:
    if missing:
        named = ", ".join(missing)
        raise PermissionsNotHeld(f"not held by the caller: {named}", permissions=named)
