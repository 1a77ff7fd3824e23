"""Access to the installation's own registry: whose it is, for how long, and what of it a token grants."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from chassis.errors import Kind, Refusal

LIFETIME = timedelta(hours=1)
PULL, PUSH = "pull", "push"
# Of one organization and its people; the oldest goes when there would be more.
MOST_GRANTS = 100
_NAMESPACE = UUID("d4f3b0c2-9a55-4a1e-8f0e-2f6a0c1b7d31")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_SCOPE = re.compile(rf"repository:({_PART}(?:/{_PART})+):([a-z*,]{{1,64}})")
_MOST_SCOPES, _LONGEST_SCOPE = 32, 400


class PushRegistryUnavailable(Refusal):
    kind, reason = Kind.UNAVAILABLE, "PUSH_REGISTRY_UNAVAILABLE"


class PushLimitReached(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "PUSH_LIMIT_REACHED"


class PushCredentialInvalid(Refusal):
    kind, reason = Kind.UNAUTHENTICATED, "PUSH_CREDENTIAL_INVALID"


@dataclass(frozen=True, slots=True)
class Grant:
    """A credential that was just made; its secret is known to nobody else."""

    id: UUID
    secret: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Access:
    """What a token lets do with one repository."""

    repository: str
    actions: tuple[str, ...]


def project_of(organization_id: UUID) -> str:
    """Return what all names of an organization's images begin with."""
    return str(organization_id)


def registry_id(host: str) -> str:
    return str(uuid5(_NAMESPACE, host))


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def granted(scopes: Sequence[str], project: str, actions: Iterable[str]) -> list[Access]:
    """Return what of these scopes lies in a project, with those of the actions that are allowed there."""
    asked = [one for text in scopes for one in text.split()][:_MOST_SCOPES]
    found: dict[str, set[str]] = {}
    for scope in asked:
        read = _SCOPE.fullmatch(scope[: _LONGEST_SCOPE + 1])
        if read is None or len(scope) > _LONGEST_SCOPE or not read[1].startswith(f"{project}/"):
            continue
        if allowed := {*read[2].split(",")} & {*actions}:
            found.setdefault(read[1], set()).update(allowed)
    return [Access(name, tuple(sorted(allowed))) for name, allowed in found.items()]
