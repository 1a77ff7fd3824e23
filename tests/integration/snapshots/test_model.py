"""Random lives of snapshots against a small model: no illegal move, the quota exact, at every step."""

import asyncio
from uuid import UUID

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
from ratoon.snapshots.v1.snapshot_pb2 import SnapshotState
from services.snapshots.domain import CONSUMING, MOVES, Claim, State
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import Member, World
from tests.soak import rounds

QUOTA = 4
IMAGES = ("a:1", "b:1")
_NAMES = {number: State(name.removeprefix("SNAPSHOT_STATE_").lower())
          for name, number in SnapshotState.items() if number}  # fmt: skip


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
            world.orgs.answers[self.me.organization] = limits(quota=QUOTA)
            self.states: dict[str, State] = {}
            self.images: dict[str, str] = {}
            self.stored: set[str] = set()
            self.claims: dict[str, Claim] = {}
            self.run(world.work())

        def run(self, step: object) -> object:
            return asyncio.run_coroutine_threadsafe(step, loop).result(30)  # type: ignore[arg-type]  # any coroutine

        def used(self) -> int:
            return sum(s in CONSUMING for s in self.states.values())

        def attempt(self, step: object) -> str:
            try:
                self.run(step)
            except grpc.aio.AioRpcError as refused:
                return error_info(refused).reason
            return ""

        def wanted(self, image: str) -> bool:
            working = (State.PENDING, State.PULLING)
            return any(self.images[i] == image and s in working for i, s in self.states.items())

        def forget_claims(self) -> None:
            self.claims = {i: c for i, c in self.claims.items() if self.wanted(i)}

        @rule(target=made, name=st.sampled_from("uvwxyz"), image=st.sampled_from(IMAGES))
        def create(self, name: str, image: str) -> object:
            full = self.used() >= QUOTA
            reason = self.attempt(self.me.create(name, image))
            if reason:
                assert reason == ("SNAPSHOT_QUOTA_EXCEEDED" if full else "SNAPSHOT_NAME_TAKEN")
                return multiple()
            assert not full
            id_ = str(self.run(_id_of(self.me, name)))
            self.states[id_], self.images[id_] = State.PENDING, image
            return id_

        @rule(id_=made)
        def delete(self, id_: str) -> None:
            reason = self.attempt(self.me.delete(id_))
            assert reason == ("" if id_ in self.states else "SNAPSHOT_NOT_FOUND")
            if id_ in self.states:
                self.states[id_] = State.REMOVING
            self.forget_claims()

        @rule(id_=made)
        def deactivate(self, id_: str) -> None:
            reason = self.attempt(self.me.deactivate(id_))
            state = self.states.get(id_)
            if state is None:
                assert reason == "SNAPSHOT_NOT_FOUND"
            elif state is State.INACTIVE or State.INACTIVE in MOVES[state]:
                assert reason == ""
                self.states[id_] = State.INACTIVE
            else:
                assert reason == "SNAPSHOT_STATE_CONFLICT"
            self.forget_claims()

        @rule(id_=made)
        def activate(self, id_: str) -> None:
            reason = self.attempt(self.me.activate(id_))
            state = self.states.get(id_)
            if state is None:
                assert reason == "SNAPSHOT_NOT_FOUND"
            elif state is not State.INACTIVE:
                assert reason == "SNAPSHOT_STATE_CONFLICT"
            elif self.used() >= QUOTA:
                assert reason == "SNAPSHOT_QUOTA_EXCEEDED"
            else:
                assert reason == ""
                self.states[id_] = State.ACTIVE if id_ in self.stored else State.PENDING

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
            target = State.ACTIVE if well else State.ERROR
            ended = self._settle(image, (State.PENDING, State.PULLING), target)
            self.stored |= ended if well else set()
            assert not self.run(world.fail(claim))

        def _settle(self, image: str, of: tuple[State, ...], to: State) -> set[str]:
            moved = {i for i, s in self.states.items() if s in of and self.images[i] == image}
            self.states.update(dict.fromkeys(moved, to))
            return moved

        @rule()
        def erase(self) -> None:
            self.run(world.erase_all())
            self.states = {i: s for i, s in self.states.items() if s is not State.REMOVING}

        @invariant()
        def what_is_stored_is_what_was_done(self) -> None:
            shown = self.run(_shown(self.me))
            assert shown == (self.states, self.used(), len(self.states))

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=lives,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


async def _shown(me: Member) -> tuple[dict[str, State], int, int]:
    rows = await me.world.database.pool.fetch(
        "SELECT id::text, state_rank FROM snapshots WHERE organization_id = $1",
        UUID(me.organization),
    )
    used, total = await me.usage()
    return {row[0]: _NAMES[row[1]] for row in rows}, used, total


async def _id_of(me: Member, name: str) -> str:
    return (await me.get(name)).id
