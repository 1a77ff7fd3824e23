"""Something done to many snapshots: what becomes of each, decided without doing it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from chassis.errors import Kind, Refusal
from services.snapshots.domain.refusals import (
    QuotaExceeded,
    SnapshotGeneral,
    SnapshotNotFound,
    StateConflict,
)
from services.snapshots.domain.states import CONSUMING, DEACTIVATABLE, State

MOST_ITEMS, MOST_JOBS = 10_000, 10


class BulkInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "BULK_INVALID"


class BulkTooLarge(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "BULK_TOO_LARGE"


class BulkTooMany(Refusal):
    kind, reason = Kind.RESOURCE_EXHAUSTED, "BULK_TOO_MANY"


class BulkJobNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "BULK_JOB_NOT_FOUND"


class PermissionMissing(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "PERMISSION_MISSING"


class Action(StrEnum):
    """What is done."""

    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    REMOVE = "remove"


class Outcome(IntEnum):
    """What became of one, numbered as in the contract."""

    WAITING = 1
    DONE = 2
    UNCHANGED = 3
    REFUSED = 4


NEEDED = {
    Action.ACTIVATE: "write:snapshots",
    Action.DEACTIVATE: "write:snapshots",
    Action.REMOVE: "delete:snapshots",
}


class Item(NamedTuple):
    """A snapshot of a job: its place, what was given as its id, and that id if it is one."""

    position: int
    given: str
    snapshot_id: UUID | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an item; `snapshot`: as it stands, if there is one."""

    item: Item
    outcome: Outcome
    code: str = ""
    snapshot: Any = None

    @property
    def name(self) -> str:
        return self.snapshot.name if self.snapshot is not None else ""


def judge(
    action: Action,
    items: Iterable[Item],
    standing: Mapping[UUID, Any],
    check: Callable[[Any], None],
    room: int,
) -> list[Verdict]:
    """Decide for each item; `check` refuses what may not come into use, `room`: places left of the quota."""
    verdicts = []
    for item in items:
        snapshot = standing.get(item.snapshot_id) if item.snapshot_id else None
        try:
            outcome = _outcome(action, snapshot, check, room)
        except Refusal as refusal:
            verdicts.append(Verdict(item, Outcome.REFUSED, refusal.reason, snapshot))
            continue
        room -= action is Action.ACTIVATE and outcome is Outcome.DONE
        verdicts.append(Verdict(item, outcome, "", snapshot))
    return verdicts


def _outcome(action: Action, snapshot: Any, check: Callable[[Any], None], room: int) -> Outcome:
    if snapshot is None:
        raise SnapshotNotFound("there is no such snapshot")
    state = State(snapshot.state)
    match action:
        case Action.REMOVE:
            if snapshot.general:
                raise SnapshotGeneral("a general snapshot cannot be deleted")
            return Outcome.UNCHANGED if state is State.REMOVING else Outcome.DONE
        case Action.DEACTIVATE:
            if state is State.INACTIVE:
                return Outcome.UNCHANGED
            if state not in DEACTIVATABLE:
                raise StateConflict("it cannot be deactivated")
            return Outcome.DONE
        case Action.ACTIVATE:
            # What is on its way need not be asked for once more.
            if state in CONSUMING:
                return Outcome.UNCHANGED
            if state is not State.INACTIVE:
                raise StateConflict("it cannot be activated")
            check(snapshot)
            if room < 1:
                raise QuotaExceeded("all places of the quota are in use")
            return Outcome.DONE
