"""What to do while the database is away: wait, and do it again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
from sqlalchemy import exc

Result = TypeVar("Result")

log = logging.getLogger(__name__)
_PAUSE_SECONDS = 0.5
# Classes of SQLSTATE that pass: connection, conflict of transactions, resources, locks, operator, system; and the end
# of a transaction that was left waiting.
_PASSING = ("08", "40", "53", "55", "57", "58", "25P03")


def is_outage(error: BaseException) -> bool:
    """Say whether the same thing may succeed in a while, through nobody's doing here."""
    if isinstance(error, exc.DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        return (
            error.connection_invalidated or isinstance(error, exc.InterfaceError) or _passes(state)
        )
    if isinstance(error, asyncpg.PostgresError):
        return _passes(error.sqlstate)
    return isinstance(error, OSError | TimeoutError | exc.TimeoutError | asyncpg.InterfaceError)


def _passes(state: str | None) -> bool:
    return state is not None and state.startswith(_PASSING)


async def steadily(operation: Callable[[], Awaitable[Result]]) -> Result:
    """Do a transaction, as often as it takes while the database is away.

    One whose commit went unanswered is done twice: only for what is fenced by its claim.
    """
    while True:
        try:
            return await operation()
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("the database is away: %s", brief(error))
        await asyncio.sleep(_PAUSE_SECONDS)


def brief(error: BaseException) -> str:
    """Return what happened, without statement and parameters."""
    cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig else error
    return f"{type(cause).__name__}: {cause}".splitlines()[0][:200]
