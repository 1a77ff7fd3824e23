"""A claim is kept by showing, again and again, how far the pull is."""

import asyncio
import logging
from datetime import timedelta

from chassis.db import Sessions
from services.snapshots.commands import pulls
from services.snapshots.domain import Claim
from services.snapshots.images.progress import Phase, Progress
from services.snapshots.worker.outages import brief, is_outage
from services.snapshots.worker.waiting import wait

log = logging.getLogger(__name__)
# Between two writes, however much there is to tell.
_GAP_SECONDS = 0.5


class LeaseLost(Exception):
    """The pull is cancelled, or somebody else's by now."""


class Lease:
    """One claim, for as long as it is ours."""

    def __init__(self, sessions: Sessions, claim: Claim, seconds: float) -> None:
        self._sessions, self._claim, self._seconds = sessions, claim, seconds
        self._progress = Progress(Phase.RESOLVING)
        self._news = asyncio.Event()

    def report(self, progress: Progress) -> None:
        self._progress = progress
        self._news.set()

    def check(self) -> None:
        """Have a look soon whether the claim still stands."""
        self._news.set()

    async def keep(self) -> None:
        """Return when the claim is lost: taken away, or not renewed for longer than it lasts."""
        clock = asyncio.get_running_loop().time
        end = clock() + self._seconds
        while clock() < end:
            await asyncio.sleep(_GAP_SECONDS)
            # Without anything new to tell, it is renewed all the same.
            await wait(self._news, self._seconds / 3)
            self._news.clear()
            asked = clock()
            try:
                async with asyncio.timeout_at(end):
                    held = await self._renew()
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("the claim could not be renewed: %s", brief(error))
                self._news.set()
            else:
                if not held:
                    return
                end = asked + self._seconds

    async def _renew(self) -> bool:
        now = self._progress
        async with self._sessions.begin() as session:
            return await pulls.progress(
                session,
                self._claim,
                phase=now.phase,
                done=now.bytes_done,
                total=now.bytes_total,
                lease=timedelta(seconds=self._seconds),
            )
