"""Random lives of snapshots against a small model: no illegal move, the quota exact, at every step.

Two who act on one snapshot at the same time leave what one after the other could have left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import grpc
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from chassis.grpc.status import error_info
from chassis.grpc.wire import to_timestamp
from ratoon.snapshots.v1 import bulk_job_pb2 as job_pb
from ratoon.snapshots.v1 import bulk_job_service_pb2 as bulk_pb
from ratoon.snapshots.v1 import snapshot_use_service_pb2 as use_pb
from ratoon.snapshots.v1.snapshot_pb2 import SnapshotState
from services.snapshots.commands import idle
from services.snapshots.domain import CONSUMING, FAILED, MOVES, Claim, State
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import Member, World
from tests.soak import rounds

QUOTA = 4
IMAGES = ("a:1", "b:1")
LONG_AGO, CUTOFF = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
_NAMES = {number: State(name.removeprefix("SNAPSHOT_STATE_").lower())
          for name, number in SnapshotState.items() if number}  # fmt: skip
WORKING = (State.PENDING, State.PULLING)
GONE, CONFLICT, FULL = "SNAPSHOT_NOT_FOUND", "SNAPSHOT_STATE_CONFLICT", "SNAPSHOT_QUOTA_EXCEEDED"


@dataclass(frozen=True)
class Known:
    """What the model knows of a snapshot. `stored`: its artifact is there; `old`: not used for long."""

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
BULK = {
    "delete": job_pb.BULK_ACTION_REMOVE,
    "deactivate": job_pb.BULK_ACTION_DEACTIVATE,
    "activate": job_pb.BULK_ACTION_ACTIVATE,
}


def acts(me: Member) -> dict[str, Callable[[str], Awaitable[Any]]]:
    """Return what the service does for each step of the model."""

    async def rest(_: str) -> None:
        more = True
        while more:
            async with me.world.database.sessions.begin() as session:
                more = await idle.deactivate(session, UUID(me.organization), CUTOFF, 2**40)

    return {
        "delete": me.delete,
        "deactivate": me.deactivate,
        "activate": me.activate,
        "retry": me.retry,
        "use": lambda id_: me.resolve(id_, use_id=str(uuid4())),
        "show": lambda id_: me.world.set_general(id_, general=True),
        "rest": rest,
    }


async def test_a_life_of_any_kind_is_legal(world: World) -> None:
    loop = asyncio.get_running_loop()
    lives = rounds(25, 300)
    # hypothesis is synchronous: it runs beside the loop and hands every step to it.
    await asyncio.to_thread(_explore, world, loop, lives)


def _explore(world: World, loop: asyncio.AbstractEventLoop, lives: int) -> None:
    class Life(RuleBasedStateMachine):
        made = Bundle("made")

        @initialize()
        def begin(self) -> None:
            self.me = world.member()
            answer = limits(quota=QUOTA)
            answer.snapshot_auto_activation = True
            world.orgs.answers[self.me.organization] = answer
            self.acts = acts(self.me)
            self.known: Snapshots = {}
            self.claims: dict[str, Claim] = {}
            self.run(world.work())

        def run(self, step: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(step, loop).result(30)

        def wanted(self, image: str) -> bool:
            return any(k.image == image and k.state in WORKING for k in self.known.values())

        def forget_claims(self) -> None:
            self.claims = {i: c for i, c in self.claims.items() if self.wanted(i)}

        @rule(target=made, name=st.sampled_from("uvwxyz"), image=st.sampled_from(IMAGES))
        def create(self, name: str, image: str) -> object:
            full = used(self.known) >= QUOTA
            reason = self.run(_attempt(self.me.create(name, image)))
            if reason:
                assert reason == (FULL if full else "SNAPSHOT_NAME_TAKEN")
                return multiple()
            assert not full
            id_ = str(self.run(_id_of(self.me, name)))
            self.known |= {id_: Known(image)}
            return id_

        @rule(id_=made, what=st.sampled_from(sorted(MODEL)))
        def act(self, id_: str, what: str) -> None:
            reason = self.run(_attempt(self.acts[what](id_)))
            expected, self.known = MODEL[what](self.known, id_)
            assert reason == expected
            self.forget_claims()

        @rule(id_=made, one=st.sampled_from(sorted(MODEL)), other=st.sampled_from(sorted(MODEL)))
        def race(self, id_: str, one: str, other: str) -> None:
            reasons = self.run(_both(self.acts[one](id_), self.acts[other](id_)))
            shown = self.run(_shown(self.me))
            first, between = MODEL[one](self.known, id_)
            second, after = MODEL[other](between, id_)
            possible = [((first, second), after)]
            second, between = MODEL[other](self.known, id_)
            first, after = MODEL[one](between, id_)
            possible.append(((first, second), after))
            matching = [a for r, a in possible if r == reasons and _states(a) == shown]
            assert matching, (reasons, shown, possible)
            self.known = matching[0]
            self.forget_claims()

        @rule(id_=made)
        def withdraw(self, id_: str) -> None:
            reason = self.run(_attempt(world.set_general(id_, general=False)))
            assert reason == ("" if id_ in self.known else GONE)
            if id_ in self.known:
                self.known |= {id_: replace(self.known[id_], general=False)}

        @rule(id_=made)
        def age(self, id_: str) -> None:
            self.run(_age(self.me, id_))
            if id_ in self.known:
                self.known |= {id_: replace(self.known[id_], old=True)}

        @rule(ids=st.lists(made, max_size=5, unique=True))
        def record(self, ids: list[str]) -> None:
            answer = self.run(_record(self.me, ids))
            there = [i for i in ids if i in self.known]
            assert (answer.recorded, set(answer.unknown_snapshot_ids)) == (
                2 * len(there),
                set(ids) - set(there),
            )
            for id_ in there:
                found = self.known[id_]
                self.known |= {id_: replace(found, uses=found.uses + 2, old=False)}

        @rule(
            ids=st.lists(made, min_size=1, max_size=6, unique=True),
            what=st.sampled_from(sorted(BULK)),
        )
        def many(self, ids: list[str], what: str) -> None:
            codes = self.run(_many(self.me, BULK[what], ids))
            for id_, code in zip(ids, codes, strict=True):
                snapshot = self.known.get(id_)
                on_its_way = snapshot is not None and snapshot.state in CONSUMING
                if what == "activate" and on_its_way:
                    assert code == ""
                    continue
                expected, self.known = MODEL[what](self.known, id_)
                assert code == expected
            self.forget_claims()

        @rule()
        def claim(self) -> None:
            claim = self.run(world.claim())
            waiting = {i for i in IMAGES if self.wanted(i)} - set(self.claims)
            assert (claim is None) == (not waiting)
            if isinstance(claim, Claim):
                assert claim.image_ref in waiting
                self.claims[claim.image_ref] = claim
                self._settle(claim.image_ref, (State.PENDING,), State.PULLING)

        @rule(image=st.sampled_from(IMAGES), well=st.booleans())
        def end(self, image: str, well: bool) -> None:
            claim = self.claims.pop(image, None)
            if claim is None:
                return
            digest = "sha256:" + ("1" if image == IMAGES[0] else "2") * 64
            assert self.run(world.finish(claim, digest) if well else world.fail(claim))
            self._settle(image, WORKING, State.ACTIVE if well else State.ERROR)
            assert not self.run(world.fail(claim))

        def _settle(self, image: str, of: tuple[State, ...], to: State) -> None:
            for id_, k in list(self.known.items()):
                if k.state in of and k.image == image:
                    stored = k.stored or to is State.ACTIVE
                    self.known |= {id_: replace(k.to(to), stored=stored)}

        @rule()
        def erase(self) -> None:
            self.run(world.erase_all())
            left = {i: k for i, k in self.known.items() if k.state is not State.REMOVING}
            self.known = left

        @invariant()
        def what_is_stored_is_what_was_done(self) -> None:
            assert self.run(_shown(self.me)) == _states(self.known)
            own = sum(not k.general for k in self.known.values())
            assert self.run(self.me.usage()) == (used(self.known), own)

        def teardown(self) -> None:
            # Nobody else is to see what is left over.
            self.run(_hide(self.me))

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=lives,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


async def _attempt(step: Awaitable[Any]) -> str:
    try:
        await step
    except grpc.aio.AioRpcError as refused:
        return error_info(refused).reason
    return ""


async def _both(one: Awaitable[Any], other: Awaitable[Any]) -> tuple[str, str]:
    first, second = await asyncio.gather(_attempt(one), _attempt(other))
    return first, second


def _states(known: Snapshots) -> dict[str, tuple[State, bool, int]]:
    return {i: (k.state, k.general, k.uses) for i, k in known.items()}


async def _shown(me: Member) -> dict[str, tuple[State, bool, int]]:
    rows = await me.world.database.pool.fetch(
        "SELECT id::text, state_rank, general, use_count FROM snapshots WHERE organization_id = $1",
        UUID(me.organization),
    )
    return {row[0]: (_NAMES[row[1]], row[2], row[3]) for row in rows}


async def _id_of(me: Member, name: str) -> str:
    return (await me.get(name)).id


async def _age(me: Member, id_: str) -> None:
    await me.world.database.pool.execute(
        "UPDATE snapshots SET created_at = $2, last_used_at = $2 WHERE id = $1", UUID(id_), LONG_AGO
    )


async def _hide(me: Member) -> None:
    for id_, (_, general, _) in (await _shown(me)).items():
        if general:
            await me.world.set_general(id_, general=False)


async def _record(me: Member, ids: list[str]) -> use_pb.RecordUsesResponse:
    """Tell of two uses of each, one of them twice."""
    now = to_timestamp(datetime.now(UTC))
    told = [
        use_pb.Use(id=str(uuid4()), snapshot_id=id_, organization_id=me.organization, time=now)
        for id_ in ids * 2
    ]
    request = use_pb.RecordUsesRequest(uses=[*told, *told[:1]])
    answer: use_pb.RecordUsesResponse
    answer = await me.world.uses.RecordUses(request, metadata=me.world.sandboxes)
    return answer


async def _many(me: Member, action: Any, ids: list[str]) -> list[str]:
    jobs, metadata = me.world.jobs, me.metadata
    request = bulk_pb.CreateBulkJobRequest(
        organization_id=me.organization, action=action, snapshot_ids=ids
    )
    job = (await jobs.CreateBulkJob(request, metadata=metadata)).job
    while await me.world.bulk.step():
        pass
    asked = bulk_pb.GetBulkJobRequest(
        organization_id=me.organization, job_id=job.id, page_size=len(ids)
    )
    answer = await jobs.GetBulkJob(asked, metadata=metadata)
    assert answer.job.HasField("finish_time")
    return [item.code for item in answer.items]
