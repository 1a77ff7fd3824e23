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
from services.snapshots.commands import retirement, share_ends
from services.snapshots.domain import Busy

log = logging.getLogger(__name__)
_SAFETY_SECONDS, _SOON_SECONDS = 60.0, 0.05
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


async def end_shares(sessions: Sessions, wakeups: Wakeups) -> None:
    """End shares when they expire and tell both sides, for ever; any number may do so beside each other."""
    with wakeups.on(share_ends.EXPIRY) as woken:
        while True:
            woken.clear()
            pause: float | None = None
            try:
                async with sessions.begin() as session:
                    more = await share_ends.end_expired(session)
                    pause = 0.0 if more else await share_ends.next_expiry(session)
            except AWAY as away:
                unless_cancelled()
                log.warning("could not end shares: %s", away)
            # What has expired and is there still is somebody else's at this moment.
            pause = _SAFETY_SECONDS if pause is None else max(pause, _SOON_SECONDS)
            await wait(woken, min(pause, _SAFETY_SECONDS))
