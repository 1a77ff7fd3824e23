"""What the server does without being asked for."""

import logging
from collections.abc import Awaitable, Callable

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from chassis.grpc.feed import wait
from chassis.listen import Wakeups
from chassis.process import unless_cancelled
from services.snapshots.commands import retirement
from services.snapshots.domain import Busy

log = logging.getLogger(__name__)
_SAFETY_SECONDS = 60.0
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError)


async def repeatedly(sessions: Sessions, some: Callable[[AsyncSession], Awaitable[int]]) -> None:
    """Do some at a time, each time in a transaction of its own, until nothing is left."""
    done = 1
    while done:
        async with sessions.begin() as session:
            done = await some(session)


async def retire(sessions: Sessions, wakeups: Wakeups) -> None:
    """Start the removal of what organizations leave behind that were deleted, for ever, a few at a time."""
    with wakeups.on(retirement.RETIRE) as woken:
        while True:
            woken.clear()
            more = False
            try:
                async with sessions.begin() as session:
                    more = await retirement.retire(session)
            except Busy:
                more = True
            except AWAY as away:
                unless_cancelled()
                log.warning("could not retire snapshots: %s", away)
            if not more:
                await wait(woken, _SAFETY_SECONDS)
