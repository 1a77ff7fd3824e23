"""What is removed goes, and the store is looked after."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from chassis.listen import Wakeups
from services.snapshots.commands.moves import WORK
from services.snapshots.commands.removals import erase
from services.snapshots.commands.trimming import release_loose, trim
from services.snapshots.worker.garbage import Garbage
from services.snapshots.worker.outages import brief, is_outage
from services.snapshots.worker.policy import SAFETY_POLL_SECONDS
from services.snapshots.worker.waiting import wait

log = logging.getLogger(__name__)
_OUTAGE_SECONDS = 1.0
_BREATH_SECONDS = 0.05
_SWEEP_SECONDS = 3600.0


class Upkeep:
    def __init__(
        self, sessions: Sessions, wakeups: Wakeups, garbage: Garbage, versions_kept: int
    ) -> None:
        self._sessions, self._wakeups, self._garbage = sessions, wakeups, garbage
        self._versions_kept = versions_kept

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._remove())
            tasks.create_task(self._sweep())

    async def _remove(self) -> None:
        with self._wakeups.on(WORK) as woken:
            while True:
                woken.clear()
                await wait(woken, await _tried(self.clear, then=SAFETY_POLL_SECONDS))
                await asyncio.sleep(_BREATH_SECONDS)

    async def clear(self) -> None:
        """Erase everything that is being removed, let old versions go, and bytes that nothing else needs."""
        await self._all(erase)
        await self._all(lambda session: trim(session, kept=self._versions_kept))
        await self._all(release_loose)
        await self._garbage.collect()

    async def _all(self, some: Callable[[AsyncSession], Awaitable[int]]) -> None:
        done = 1
        while done:
            async with self._sessions.begin() as session:
                done = await some(session)

    async def _sweep(self) -> None:
        while True:
            # Workers that were started together need not do it together.
            pause = _SWEEP_SECONDS * random.uniform(0.75, 1.25)
            await asyncio.sleep(await _tried(self._garbage.sweep, then=pause))


async def _tried(operation: Callable[[], Awaitable[None]], *, then: float) -> float:
    """Do it and return how long to wait: `then`, or less if the database is away."""
    try:
        await operation()
    except Exception as error:
        if not is_outage(error):
            raise
        log.warning("the upkeep has to wait: %s", brief(error))
        return _OUTAGE_SECONDS
    return then
