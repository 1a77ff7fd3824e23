"""Random lives of snapshots against a small model: no illegal move, the quota exact, at every step.

Up to four who act at the same time, clients and workers, hear and leave what they would one after the other, in some order.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
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
from ratoon.snapshots.v1.snapshot_pb2 import Snapshot, SnapshotState
from services.snapshots.commands import idle
from services.snapshots.domain import CONSUMING, Claim, State
from tests.integration.snapshots.model import (
    DEEDS,
    GONE,
    IMAGES,
    LOST,
    MODEL,
    QUOTA,
    Deed,
    Known,
    Life,
    Snapshots,
    outcomes,
    used,
)
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import Member, World
from tests.soak import rounds

_NAMES = {number: State(name.removeprefix("SNAPSHOT_STATE_").lower())
          for name, number in SnapshotState.items() if number}  # fmt: skip
LONG_AGO, CUTOFF = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
NAMES = "uvwxyz"
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
    class Machine(RuleBasedStateMachine):
        made = Bundle("made")

        @initialize()
        def begin(self) -> None:
            self.me = world.member()
            answer = limits(quota=QUOTA)
            answer.snapshot_auto_activation = True
            world.orgs.answers[self.me.organization] = answer
            self.acts = acts(self.me)
            self.life = Life({})
            self.claims: dict[str, Claim] = {}
            self.run(world.work())

        def run(self, step: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(step, loop).result(30)

        @property
        def known(self) -> Snapshots:
            return self.life.known

        def is_now(self, known: Snapshots) -> None:
            """Go on with these, and without the claims that nobody waits for."""
            life = Life(known)
            self.life = Life(known, frozenset(filter(life.wants, self.life.claims)))

        @rule(target=made, name=st.sampled_from(NAMES), image=st.sampled_from(IMAGES))
        def create(self, name: str, image: str) -> object:
            refused = self.life.refusal(name)
            assert self.run(_attempt(self.me.create(name, image)))[0] == refused
            if refused:
                return multiple()
            id_ = str(self.run(_id_of(self.me, name)))
            self.is_now(self.known | {id_: Known(name, image)})
            return id_

        @rule(id_=made, what=st.sampled_from(sorted(MODEL)))
        def act(self, id_: str, what: str) -> None:
            reason, _ = self.run(_attempt(self.acts[what](id_)))
            expected, known = MODEL[what](self.known, id_)
            assert reason == expected
            self.is_now(known)

        @rule(
            target=made,
            deeds=st.lists(
                st.builds(
                    Deed,
                    *(st.sampled_from(DEEDS), made),
                    *(st.sampled_from(IMAGES), st.sampled_from(NAMES)),
                ),
                min_size=2,
                max_size=4,
            ),
        )
        def race(self, deeds: list[Deed]) -> object:
            answers = self.run(_at_once([self.deed(deed) for deed in deeds]))
            shown = self.run(_shown(self.me))
            heard = [reason for reason, _ in answers]
            made = [
                id_ * (deed.what == "create") for deed, (_, id_) in zip(deeds, answers, strict=True)
            ]
            possible = list(outcomes(self.life, deeds, made))
            matching = [life for h, life in possible if h == heard and _states(life.known) == shown]
            assert matching, (deeds, heard, shown, possible)
            # Orders may differ in what cannot be seen: whether a claim still stands is asked.
            self.life = self.run(self.standing(matching))
            return multiple(*filter(None, made))

        def deed(self, deed: Deed) -> Awaitable[Any]:
            if deed.what == "create":
                return self.me.create(deed.name, deed.image)
            if deed.what in ("finish", "fail"):
                return self.ended(deed.image, well=deed.what == "finish")
            return self.acts[deed.what](deed.id)

        async def ended(self, image: str, *, well: bool) -> None:
            claim = self.claims.get(image)
            if claim is None:
                raise Lost
            done = await (world.finish(claim, _digest(image)) if well else world.fail(claim))
            if not done:
                raise Lost

        async def standing(self, lives: list[Life]) -> Life:
            rows = await world.database.pool.fetch(
                "SELECT image_ref FROM pulls WHERE organization_id = $1 AND running",
                UUID(self.me.organization),
            )
            claims = {row[0] for row in rows}
            [life, *_] = [life for life in lives if life.claims == claims]
            return life

        @rule(id_=made)
        def withdraw(self, id_: str) -> None:
            reason, _ = self.run(_attempt(world.set_general(id_, general=False)))
            assert reason == ("" if id_ in self.known else GONE)
            self.change(id_, general=False)

        @rule(id_=made)
        def age(self, id_: str) -> None:
            self.run(_age(self.me, id_))
            self.change(id_, old=True)

        def change(self, id_: str, **values: Any) -> None:
            if id_ in self.known:
                self.is_now(self.known | {id_: replace(self.known[id_], **values)})

        @rule(ids=st.lists(made, max_size=5, unique=True))
        def record(self, ids: list[str]) -> None:
            answer = self.run(_record(self.me, ids))
            there = [i for i in ids if i in self.known]
            assert (answer.recorded, set(answer.unknown_snapshot_ids)) == (
                2 * len(there),
                set(ids) - set(there),
            )
            for id_ in there:
                self.change(id_, uses=self.known[id_].uses + 2, old=False)

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
                expected, known = MODEL[what](self.known, id_)
                assert code == expected
                self.is_now(known)

        @rule()
        def claim(self) -> None:
            claim = self.run(world.claim())
            waiting = set(filter(self.life.wants, IMAGES)) - self.life.claims
            assert (claim is None) == (not waiting)
            if isinstance(claim, Claim):
                image = claim.image_ref
                assert image in waiting
                self.claims[image] = claim
                life = self.life.settled(image, (State.PENDING,), State.PULLING)
                self.life = replace(life, claims=life.claims | {image})

        @rule(image=st.sampled_from(IMAGES), what=st.sampled_from(("finish", "fail")))
        def end(self, image: str, what: str) -> None:
            deed = Deed(what, "", image, "")
            # Ended or lost, nothing more can be done with the claim.
            for _ in range(2):
                reason, _ = self.run(_attempt(self.deed(deed)))
                expected, self.life = self.life.after(deed, "")
                assert reason == expected

        @rule()
        def erase(self) -> None:
            self.run(world.erase_all())
            self.is_now({i: k for i, k in self.known.items() if k.state is not State.REMOVING})

        @invariant()
        def what_is_stored_is_what_was_done(self) -> None:
            assert self.run(_shown(self.me)) == _states(self.known)
            own = sum(not k.general for k in self.known.values())
            assert self.run(self.me.usage()) == (used(self.known), own)

        def teardown(self) -> None:
            # Nobody else is to see what is left over, nor to find it when a claim of now ends.
            self.run(_hide(self.me))
            self.run(_give_back(self.me))
            self.run(world.work())

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=lives,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


class Lost(Exception):
    """A claim that stands no longer."""


async def _attempt(step: Awaitable[Any]) -> tuple[str, str]:
    """Return what is refused, and the id of the snapshot that is answered, if one is."""
    try:
        answer = await step
    except grpc.aio.AioRpcError as refused:
        return error_info(refused).reason, ""
    except Lost:
        return LOST, ""
    return "", answer.id if isinstance(answer, Snapshot) else ""


async def _at_once(steps: list[Awaitable[Any]]) -> list[tuple[str, str]]:
    return await asyncio.gather(*map(_attempt, steps))


def _digest(image: str) -> str:
    return "sha256:" + ("1" if image == IMAGES[0] else "2") * 64


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


async def _give_back(me: Member) -> None:
    await me.world.database.pool.execute(
        "UPDATE pulls SET due_at = now() WHERE organization_id = $1", UUID(me.organization)
    )


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
