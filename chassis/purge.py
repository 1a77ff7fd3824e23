"""Forgetting what is kept for a limited time only: old events, old answers to Idempotency-Keys."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from chassis import idempotency
from chassis.db import Database
from chassis.grpc.interceptors import unavailable
from chassis.outbox import Feed
from chassis.process import unless_cancelled

log = logging.getLogger(__name__)
_HOUR = 3600.0


async def every_hour(feed: Feed, database: Database, *more: Callable[[], Awaitable[None]]) -> None:
    """Purge now and every hour, for ever, and what `more` forgets; a database that is away is left for the next time."""
    while True:
        try:
            await once(feed, database)
            for forget in more:
                await forget()
        except Exception as failure:
            unless_cancelled()
            if not unavailable(failure):
                raise
            log.warning("nothing could be purged now: %s", type(failure).__name__)
        await asyncio.sleep(_HOUR)


async def once(feed: Feed, database: Database) -> None:
    await feed.purge()
    async with database.sessions.begin() as session:
        await session.execute(idempotency.PURGE)
