"""How long a failed pull waits, and which errors of the database pass."""

from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import exc

from services.snapshots.worker.outages import is_outage
from services.snapshots.worker.policy import Policy

POLICY = Policy(first_delay=2, longest_delay=60)


@pytest.mark.parametrize(
    ("attempt", "least", "most"), [(1, 1, 2), (2, 2, 4), (5, 16, 32), (6, 30, 60), (1000, 30, 60)]
)
def test_delays_grow_up_to_a_bound_and_differ(attempt: int, least: float, most: float) -> None:
    delays = {POLICY.delay(attempt, None) for _ in range(50)}
    assert len(delays) > 1
    assert all(timedelta(seconds=least) <= delay <= timedelta(seconds=most) for delay in delays)


def test_a_registry_is_not_asked_earlier_than_it_wants() -> None:
    assert all(POLICY.delay(1, 100.0) >= timedelta(seconds=100) for _ in range(50))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.AdminShutdownError(),
        exc.TimeoutError("no connection in the pool"),
        exc.InterfaceError("", {}, Exception("connection is closed")),
        exc.DBAPIError("", {}, asyncpg.LockNotAvailableError()),
        exc.DBAPIError("", {}, asyncpg.DeadlockDetectedError()),
    ],
    ids=repr,
)
def test_an_outage_passes(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        asyncpg.UndefinedTableError(),
        exc.DBAPIError("", {}, asyncpg.UndefinedTableError()),
        exc.DBAPIError("", {}, asyncpg.CheckViolationError()),
        exc.DBAPIError("", {}, Exception("no state at all")),
    ],
    ids=repr,
)
def test_a_fault_of_ours_does_not(error: Exception) -> None:
    assert not is_outage(error)
