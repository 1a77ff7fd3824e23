"""The lifecycle as a table."""

import pytest

from chassis.errors import Refusal
from ratoon.snapshots.v1.snapshot_pb2 import SnapshotState
from services.snapshots.domain import CONSUMING, DEACTIVATABLE, MOVES, State, check_move


def test_states_are_numbered_as_in_the_contract() -> None:
    numbers = {f"SNAPSHOT_STATE_{s.name}": n for n, s in enumerate(State, 1)}
    assert {"SNAPSHOT_STATE_UNSPECIFIED": 0, **numbers} == dict(SnapshotState.items())


def test_every_state_is_in_the_table_and_only_known_moves_are_allowed() -> None:
    assert set(MOVES) == set(State)
    for current in State:
        for target in State:
            if target in MOVES[current]:
                check_move(current, target)
                continue
            with pytest.raises(Refusal) as refused:
                check_move(current, target)
            assert refused.value.reason == "SNAPSHOT_STATE_CONFLICT"


def test_everything_but_what_is_being_removed_can_be() -> None:
    assert {s for s in State if State.REMOVING in MOVES[s]} == set(State) - {State.REMOVING}
    assert not MOVES[State.REMOVING]


def test_failed_and_removed_snapshots_take_no_place_and_cannot_be_deactivated() -> None:
    over = {State.ERROR, State.BUILD_FAILED, State.REMOVING}
    assert over.isdisjoint(CONSUMING)
    assert over.isdisjoint(DEACTIVATABLE)
