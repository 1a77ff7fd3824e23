"""Where a version is."""

import pytest

from ratoon.snapshots.v1.version_pb2 import VersionState as Numbers
from services.snapshots.domain import State, VersionState, version_state


def test_states_are_those_of_the_contract() -> None:
    names = {name.removeprefix("VERSION_STATE_").lower() for name in Numbers.keys()}  # noqa: SIM118 - an enum of protobuf is no dict
    assert names == {"unspecified", *VersionState}


@pytest.mark.parametrize("state", State)
def test_the_current_one_is_where_its_snapshot_is(state: State) -> None:
    said = version_state(state, current=True, running=True, built=False)
    same = {s.value for s in State} & {v.value for v in VersionState}
    if state in same:
        assert said.value == state.value
    else:
        assert said in (VersionState.PENDING, VersionState.ERROR, VersionState.INACTIVE)


@pytest.mark.parametrize(
    ("stored", "running", "state"),
    [
        ("pending", False, VersionState.PENDING),
        ("pending", True, VersionState.PULLING),
        ("inactive", True, VersionState.INACTIVE),
        ("superseded", False, VersionState.SUPERSEDED),
        ("cancelled", False, VersionState.CANCELLED),
        ("error", False, VersionState.ERROR),
    ],
)
def test_another_one_is_where_it_was_left(stored: str, running: bool, state: VersionState) -> None:
    assert version_state(stored, current=False, running=running, built=False) is state
