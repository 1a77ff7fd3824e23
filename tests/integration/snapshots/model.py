"""What becomes of an organization's snapshots, one deed after the other: the truth that the service is held against."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import NamedTuple

from services.snapshots.domain import CONSUMING, FAILED, MOVES, State

QUOTA = 4
IMAGES = ("a:1", "b:1")
WORKING = (State.PENDING, State.PULLING)
GONE, CONFLICT, FULL = "SNAPSHOT_NOT_FOUND", "SNAPSHOT_STATE_CONFLICT", "SNAPSHOT_QUOTA_EXCEEDED"
TAKEN = "SNAPSHOT_NAME_TAKEN"
# What a worker hears whose claim stands no longer.
LOST = "LOST"


@dataclass(frozen=True)
class Known:
    """What the model knows of a snapshot. `stored`: its artifact is there; `old`: not used for long."""

    name: str
    image: str
    state: State = State.PENDING
    general: bool = False
    stored: bool = False
    old: bool = False
    uses: int = 0

    def to(self, state: State) -> "Known":
        return replace(self, state=state, old=self.old and state is not State.ACTIVE)


Snapshots = dict[str, Known]
# What is refused, and what there is afterwards.
Step = Callable[[Snapshots, str], tuple[str, Snapshots]]


def used(known: Snapshots) -> int:
    return sum(k.state in CONSUMING for k in known.values())


def _delete(known: Snapshots, id_: str) -> tuple[str, Snapshots]:
    snapshot = known.get(id_)
    if snapshot is None:
        return GONE, known
    if snapshot.general:
        return "SNAPSHOT_GENERAL", known
    return "", known | {id_: snapshot.to(State.REMOVING)}


def _deactivate(known: Snapshots, id_: str) -> tuple[str, Snapshots]:
    snapshot = known.get(id_)
    if snapshot is None:
        return GONE, known
    if snapshot.state is not State.INACTIVE and State.INACTIVE not in MOVES[snapshot.state]:
        return CONFLICT, known
    return "", known | {id_: snapshot.to(State.INACTIVE)}


def _back(known: Snapshots, id_: str, of: frozenset[State]) -> tuple[str, Snapshots]:
    snapshot = known.get(id_)
    if snapshot is None:
        return GONE, known
    if snapshot.state not in of:
        return CONFLICT, known
    if used(known) >= QUOTA:
        return FULL, known
    return "", known | {id_: snapshot.to(State.ACTIVE if snapshot.stored else State.PENDING)}


def _activate(known: Snapshots, id_: str) -> tuple[str, Snapshots]:
    return _back(known, id_, frozenset({State.INACTIVE}))


def _retry(known: Snapshots, id_: str) -> tuple[str, Snapshots]:
    return _back(known, id_, FAILED)


def _use(known: Snapshots, id_: str) -> tuple[str, Snapshots]:
    """A sandbox is to start from it: what is inactive and there is activated by that."""
    snapshot = known.get(id_)
    if snapshot is None:
        return GONE, known
    if snapshot.state is State.INACTIVE and snapshot.stored:
        refused, known = _activate(known, id_)
        if refused:
            return refused, known
    elif snapshot.state is not State.ACTIVE:
        return CONFLICT, known
    found = known[id_]
    return "", known | {id_: replace(found, uses=found.uses + 1, old=False)}


def _show(known: Snapshots, id_: str) -> tuple[str, Snapshots]:
    snapshot = known.get(id_)
    if snapshot is None:
        return GONE, known
    if snapshot.state is State.REMOVING and not snapshot.general:
        return CONFLICT, known
    return "", known | {id_: replace(snapshot, general=True)}


def _rest(known: Snapshots, _: str) -> tuple[str, Snapshots]:
    """What is old goes out of use, but where the same image is used under another name."""
    kept = {k.image for k in known.values() if k.state is State.ACTIVE and not k.old}
    return "", {
        i: k.to(State.INACTIVE)
        if k.state is State.ACTIVE and k.old and not k.general and k.image not in kept
        else k
        for i, k in known.items()
    }


MODEL: dict[str, Step] = {
    "delete": _delete,
    "deactivate": _deactivate,
    "activate": _activate,
    "retry": _retry,
    "use": _use,
    "show": _show,
    "rest": _rest,
}


class Deed(NamedTuple):
    """Something that somebody does: to the snapshot `id`, to the work on `image`, or to make `name` of it."""

    what: str
    id: str
    image: str
    name: str


@dataclass(frozen=True)
class Life:
    """Everything there is. `claims`: images on which a worker works."""

    known: Snapshots
    claims: frozenset[str] = frozenset()

    def wants(self, image: str) -> bool:
        return any(k.image == image and k.state in WORKING for k in self.known.values())

    def refusal(self, name: str) -> str:
        """Return why nothing of this name can be made."""
        if used(self.known) >= QUOTA:
            return FULL
        return TAKEN if any(k.name == name for k in self.known.values()) else ""

    def settled(self, image: str, of: Sequence[State], to: State) -> "Life":
        """Move those that wait for an image."""
        moved = {
            i: replace(k.to(to), stored=k.stored or to is State.ACTIVE)
            for i, k in self.known.items()
            if k.image == image and k.state in of
        }
        return replace(self, known=self.known | moved)

    def after(self, deed: Deed, made: str) -> tuple[str, "Life"]:
        """Return what is refused, and what there is then; `made`: the id of what is made, if something is."""
        if deed.what in ENDS:
            if deed.image not in self.claims:
                return LOST, self
            ended = self.settled(deed.image, WORKING, ENDS[deed.what])
            return "", replace(ended, claims=self.claims - {deed.image})
        if deed.what == "create":
            refused = self.refusal(deed.name)
            known = self.known if refused else self.known | {made: Known(deed.name, deed.image)}
        else:
            refused, known = MODEL[deed.what](self.known, deed.id)
        life = replace(self, known=known)
        # Work that nobody waits for any more is cancelled.
        return refused, replace(life, claims=frozenset(filter(life.wants, self.claims)))


ENDS = {"finish": State.ACTIVE, "fail": State.ERROR}
DEEDS = sorted({*MODEL, *ENDS, "create"})


def outcomes(
    life: Life, deeds: Sequence[Deed], made: Sequence[str]
) -> Iterator[tuple[list[str], Life]]:
    """Yield what may come of deeds that are done at once: for each order, what each hears, and what there is then."""
    for order in permutations(range(len(deeds))):
        heard, after = [""] * len(deeds), life
        for number in order:
            heard[number], after = after.after(deeds[number], made[number])
        yield heard, after
