"""The whole of a builder over one database, one store and one workshop."""

import asyncio
import logging

from chassis.listen import Wakeups
from services.snapshots.builder.building import Building, Trade
from services.snapshots.builder.groups import Group
from services.snapshots.builder.measures import BUILDING
from services.snapshots.commands.moves import WORK
from services.snapshots.worker.job import Job
from services.snapshots.worker.scheduler import Kind, Scheduler
from services.snapshots.worker.tools import Tools

log = logging.getLogger(__name__)
_SHRINK_SECONDS = 3600.0


class Builder:
    """`places`: builds at once."""

    def __init__(self, tools: Tools, wakeups: Wakeups, trade: Trade, *, places: int) -> None:
        self._wakeups, self._trade = wakeups, trade
        builds = Kind(
            lambda claim: Job(tools, claim, Building(tools, trade, claim), BUILDING),
            BUILDING,
            builds=True,
        )
        self._scheduler = Scheduler(
            tools.sessions, wakeups, builds, places=places, policy=tools.policy
        )

    async def run(self) -> None:
        """Work for ever; cancelled, give back what is not done."""
        await self._clear_away()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wakeups.run((WORK,)))
            tasks.create_task(self._scheduler.run())
            tasks.create_task(self._shrink())

    async def _clear_away(self) -> None:
        """Clear away what a builder that was killed has left: the kernel has ended its processes and their mounts."""

        def left(name: str) -> None:
            log.info("a build was left behind: %s", name)
            Group(name).remove()

        await self._trade.workshop.clear(left)

    async def _shrink(self) -> None:
        while True:
            await self._trade.workshop.shrink()
            await asyncio.sleep(_SHRINK_SECONDS)
