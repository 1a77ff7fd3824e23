"""Which failures a retry may mend: those of a database or a neighbour that is away, and no others."""

import asyncpg
import grpc
import pytest
import sqlalchemy.exc
from grpc.aio import AioRpcError, Metadata

from chassis.grpc.interceptors import unavailable


class _Driver(Exception):
    """What SQLAlchemy wraps: the driver's failure, with the server's state or without."""

    def __init__(self, sqlstate: str | None = None) -> None:
        super().__init__("driver")
        self.sqlstate = sqlstate


def _rpc(code: grpc.StatusCode) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata())


@pytest.mark.parametrize(
    "failure",
    [
        OSError(),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 11"),
        asyncpg.AdminShutdownError("terminating connection"),
        sqlalchemy.exc.InterfaceError("", None, _Driver()),
        sqlalchemy.exc.InternalError("", None, _Driver()),
        sqlalchemy.exc.DBAPIError("", None, _Driver("57P01")),
        sqlalchemy.exc.DBAPIError("", None, _Driver("08006")),
        _rpc(grpc.StatusCode.UNAVAILABLE),
        _rpc(grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
    ids=lambda f: type(f).__name__,
)
def test_what_is_away_may_come_back(failure: Exception) -> None:
    assert unavailable(failure)


@pytest.mark.parametrize(
    "failure",
    [
        ValueError(),
        sqlalchemy.exc.InternalError("", None, _Driver("XX000")),
        sqlalchemy.exc.IntegrityError("", None, _Driver("23505")),
        _rpc(grpc.StatusCode.INTERNAL),
        _rpc(grpc.StatusCode.NOT_FOUND),
    ],
    ids=lambda f: type(f).__name__,
)
def test_a_mistake_stays_one(failure: Exception) -> None:
    assert not unavailable(failure)
