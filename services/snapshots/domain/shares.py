"""What an organization may do with a snapshot of another one."""

from collections.abc import Iterable
from enum import StrEnum

from services.snapshots.domain.refusals import ShareRightsInvalid, UseForbidden

# Of one snapshot.
MOST_SHARES = 100


class Right(StrEnum):
    READ = "read"
    USE = "use"


class Cause(StrEnum):
    """Why a share ended."""

    WITHDRAWN = "withdrawn"
    DECLINED = "declined"
    REMOVED = "removed"
    RECEIVER_DELETED = "receiver_deleted"
    EXPIRED = "expired"


def may_use(rights: Iterable[Right]) -> bool:
    """Tell whether these rights let start from a snapshot, not only see it; refuse no right at all."""
    asked = set(rights)
    if not asked:
        raise ShareRightsInvalid("say what the organization may do: read, or use, which implies it")
    return Right.USE in asked


def rights(use: bool) -> list[Right]:
    """Return all rights of a share: whoever may use a snapshot sees it."""
    return [Right.READ, Right.USE] if use else [Right.READ]


def usable_by(
    organization_id: str, *, owner_id: str, general: bool, shared_use: bool | None
) -> bool:
    """Tell whether an organization may start from a snapshot. `shared_use`: as a share with it says; None: there is none."""
    return general or owner_id == organization_id or bool(shared_use)


def check_usable_by(
    organization_id: str, *, owner_id: str, general: bool, shared_use: bool | None
) -> None:
    if not usable_by(organization_id, owner_id=owner_id, general=general, shared_use=shared_use):
        raise UseForbidden("the snapshot is shared with the organization for reading only")
