"""Where a snapshot may be, and where it may go from there."""

from enum import StrEnum

from services.snapshots.domain.refusals import StateConflict


class State(StrEnum):
    """Where a snapshot is, in the order of the published list."""

    BUILDING = "building"
    PENDING = "pending"
    PULLING = "pulling"
    ACTIVE = "active"
    INACTIVE = "inactive"
    ERROR = "error"
    BUILD_FAILED = "build_failed"
    REMOVING = "removing"
    SNAPSHOTTING = "snapshotting"


S = State
MOVES: dict[State, frozenset[State]] = {
    S.BUILDING: frozenset({S.ACTIVE, S.BUILD_FAILED, S.INACTIVE, S.REMOVING}),
    S.PENDING: frozenset({S.PULLING, S.BUILDING, S.ACTIVE, S.ERROR, S.INACTIVE, S.REMOVING}),
    S.PULLING: frozenset({S.ACTIVE, S.ERROR, S.INACTIVE, S.REMOVING}),
    S.SNAPSHOTTING: frozenset({S.ACTIVE, S.ERROR, S.REMOVING}),
    S.ACTIVE: frozenset({S.INACTIVE, S.REMOVING}),
    S.INACTIVE: frozenset({S.ACTIVE, S.PENDING, S.REMOVING}),
    S.ERROR: frozenset({S.ACTIVE, S.PENDING, S.BUILDING, S.REMOVING}),
    S.BUILD_FAILED: frozenset({S.ACTIVE, S.PENDING, S.BUILDING, S.REMOVING}),
    S.REMOVING: frozenset(),
}
# What takes a place of the organization's quota.
CONSUMING = frozenset({S.BUILDING, S.PENDING, S.PULLING, S.ACTIVE, S.SNAPSHOTTING})
# What may be tried again.
FAILED = frozenset({S.ERROR, S.BUILD_FAILED})
# What may be taken out of use.
DEACTIVATABLE = frozenset(s for s, targets in MOVES.items() if S.INACTIVE in targets)


def check_move(current: State, target: State) -> None:
    """Refuse a move that the lifecycle does not know."""
    if target not in MOVES[current]:
        raise StateConflict(
            f"a snapshot that is {current} cannot become {target}", current=current, target=target
        )
