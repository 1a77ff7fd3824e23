"""What the server does without being asked for."""

import asyncio
import logging

import asyncpg
from sqlalchemy.exc import DBAPIError

from chassis import idempotency
from chassis.db import Pool, Sessions
from chassis.grpc.feed import wait
from chassis.listen import Wakeups
from chassis.outbox import Feed
from services.snapshots.commands import retirement
from services.snapshots.domain import Busy

log = logging.getLogger(__name__)
_HOUR = 3600.0
_SAFETY_SECONDS = 60.0
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError)


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
            except _AWAY as away:
                log.warning("could not retire snapshots: %s", away)
            if not more:
                await wait(woken, _SAFETY_SECONDS)


async def forget(feed: Feed, pool: Pool) -> None:
    """Drop every hour what is kept for a limited time only."""
    while True:
        await asyncio.sleep(_HOUR)
        try:
            await feed.purge()
            await pool.execute(str(idempotency.PURGE))
        except _AWAY as away:
            log.warning("could not purge: %s", away)
