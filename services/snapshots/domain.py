"""What a snapshot is and may become. Pure: no I/O, no clock, no framework."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from chassis.errors import Kind, Refusal


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
    S.ERROR: frozenset({S.REMOVING}),
    S.BUILD_FAILED: frozenset({S.REMOVING}),
    S.REMOVING: frozenset(),
}
# What takes a place of the organization's quota.
CONSUMING = frozenset({S.BUILDING, S.PENDING, S.PULLING, S.ACTIVE, S.SNAPSHOTTING})
# What may be taken out of use.
DEACTIVATABLE = frozenset(s for s, targets in MOVES.items() if S.INACTIVE in targets)


class SnapshotNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "SNAPSHOT_NOT_FOUND"


class IdRequired(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "SNAPSHOT_ID_REQUIRED"


class SnapshotGeneral(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "SNAPSHOT_GENERAL"


class StateConflict(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "SNAPSHOT_STATE_CONFLICT"


class NameTaken(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "SNAPSHOT_NAME_TAKEN"


class QuotaExceeded(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "SNAPSHOT_QUOTA_EXCEEDED"


class BuildNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "BUILD_NOT_FOUND"


class Busy(Refusal):
    """Somebody else changed the same snapshot over and over; nothing was done."""

    kind, reason = Kind.ABORTED, "SNAPSHOT_BUSY"


class StoreFull(Exception):
    """The store has no room for what was to be reserved."""


def check_move(current: State, target: State) -> None:
    """Refuse a move that the lifecycle does not know."""
    if target not in MOVES[current]:
        raise StateConflict(
            f"a snapshot that is {current} cannot become {target}", current=current, target=target
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a snapshot failed: a stable word, the cause and what to do about it, both for people."""

    code: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the store."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A pull in the hands of one worker, for as long as nobody else claims it."""

    pull_id: UUID
    organization_id: UUID
    image_ref: str
    # Fetch this manifest, whatever the reference names. Empty: resolve the reference.
    digest: str
    attempt: int
    worker: str
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """An image that is whole and verified in the store. `digests`: further ones it was asked for by (its index)."""

    repository: str
    manifest_digest: str
    size_bytes: int
    entrypoint: list[str] | None
    config: dict[str, object]
    blobs: tuple[Blob, ...]
    digests: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class SnapshotCreated:
    """See ratoon.events.v1.SnapshotCreated."""

    snapshot_id: str
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class SnapshotStateChanged:
    """See ratoon.events.v1.SnapshotStateChanged."""

    snapshot_id: str
    name: str
    old_state: str
    new_state: str


@dataclass(frozen=True, slots=True)
class SnapshotRemoved:
    """See ratoon.events.v1.SnapshotRemoved."""

    snapshot_id: str
    name: str
