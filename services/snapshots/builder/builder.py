"""The whole of a builder over one database, one store and one workshop."""

import asyncio
import logging
from uuid import uuid4

from chassis.db import Sessions
from chassis.listen import Wakeups
from services.snapshots.builder.building import Building, Trade
from services.snapshots.builder.groups import Group
from services.snapshots.builder.measures import BUILDING
from services.snapshots.commands.moves import WORK
from services.snapshots.store.port import Store
from services.snapshots.worker.garbage import Garbage
from services.snapshots.worker.job import Job
from services.snapshots.worker.policy import Policy
from services.snapshots.worker.room import Room
from services.snapshots.worker.scheduler import Scheduler
from services.snapshots.worker.tools import LargestImage, Tools

log = logging.getLogger(__name__)
_SHRINK_SECONDS = 3600.0


class Builder:
    """`places`: builds at once. `store_limit`: bytes the store may hold; None: what the disk has."""

    def __init__(
        self,
        sessions: Sessions,
        wakeups: Wakeups,
        store: Store,
        largest_image: LargestImage,
        trade: Trade,
        *,
        places: int,
        policy: Policy,
        store_limit: int | None,
    ) -> None:
        self._wakeups, self._trade = wakeups, trade
        room = Room(store, store_limit)
        tools = Tools(
            sessions,
            store,
            room,
            Garbage(sessions, store),
            largest_image,
            policy,
            trade.credentials,
        )
        self._scheduler = Scheduler(
            sessions,
            wakeups,
            lambda claim: Job(tools, claim, Building(tools, trade, claim), BUILDING),
            name=uuid4().hex,
            places=places,
            policy=policy,
            measures=BUILDING,
            builds=True,
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
