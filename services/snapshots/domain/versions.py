"""What a snapshot was, is and may become."""

from dataclasses import dataclass
from enum import StrEnum

from services.snapshots.domain.build import Recipe
from services.snapshots.domain.states import State

# How many versions of a snapshot keep their bytes by default, the current one among them.
VERSIONS_KEPT = 10
# How many versions besides the current one are remembered at all.
VERSIONS_REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new version is to be made of: an image and what that is pinned by (empty: nothing), or a recipe."""

    image_ref: str
    digest: str
    recipe: Recipe | None = None


class VersionState(StrEnum):
    """Where a version is; those that are not in `_OF_CURRENT` are stored as they are written here."""

    PENDING = "pending"
    BUILDING = "building"
    PULLING = "pulling"
    ACTIVE = "active"
    INACTIVE = "inactive"
    ERROR = "error"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


V = VersionState
_OF_CURRENT = {
    State.BUILDING: V.BUILDING,
    State.PENDING: V.PENDING,
    State.PULLING: V.PULLING,
    State.SNAPSHOTTING: V.PENDING,
    State.ACTIVE: V.ACTIVE,
    State.INACTIVE: V.INACTIVE,
    State.ERROR: V.ERROR,
    State.BUILD_FAILED: V.ERROR,
    State.REMOVING: V.INACTIVE,
}


def version_state(stored: str, *, current: bool, running: bool, built: bool) -> VersionState:
    """Return where a version is. `stored`: its own state, or, of the current one, that of the snapshot.

    `running`: somebody works on what it waits for; `built`: that is a build.
    """
    if current:
        return _OF_CURRENT[State(stored)]
    if stored == V.PENDING and built:
        return V.BUILDING
    if stored == V.PENDING and running:
        return V.PULLING
    return VersionState(stored)
