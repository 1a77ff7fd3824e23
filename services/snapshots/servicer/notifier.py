"""Wake-ups after commits that did not notify: one NOTIFY for all of the last moments.

A NOTIFY inside a transaction takes a lock of the whole cluster at its commit, which creates could not afford. What is
lost with a crash between commit and wake-up is found by the safety polls of those who wait.
"""

import asyncio
import logging

import asyncpg

from chassis.db import Pool
from chassis.outbox import CHANNEL
from chassis.process import unless_cancelled
from services.snapshots.commands.moves import WORK

log = logging.getLogger(__name__)
_GATHER_SECONDS = 0.01
_RETRY_SECONDS = 0.5
_NOTIFY = "SELECT pg_notify($1, '')"


class Notifier:
    """Wakes feed and workers shortly after it was touched."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._touched = asyncio.Event()
        self._work = False

    def touch(self, *, work: bool) -> None:
        """Wake the feed, and the workers if there is new work."""
        self._work = self._work or work
        self._touched.set()

    async def run(self) -> None:
        """Notify for ever."""
        while True:
            await self._touched.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._touched.clear()
            work, self._work = self._work, False
            try:
                await self._pool.execute(_NOTIFY, CHANNEL)
                if work:
                    await self._pool.execute(_NOTIFY, WORK)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as away:
                unless_cancelled()
                log.warning("could not notify: %s", away)
                self.touch(work=work)
                await asyncio.sleep(_RETRY_SECONDS)
