"""The whole of a worker over one database and one store."""

import asyncio

from chassis.listen import Wakeups
from services.snapshots.commands.moves import WORK
from services.snapshots.images.http import Http
from services.snapshots.worker.arrival import Arrival
from services.snapshots.worker.job import Job
from services.snapshots.worker.measures import PULLING
from services.snapshots.worker.scheduler import Kind, Scheduler
from services.snapshots.worker.tools import Tools
from services.snapshots.worker.upkeep import Upkeep


class Worker:
    """`places`: pulls at once."""

    def __init__(self, tools: Tools, wakeups: Wakeups, http: Http, *, places: int) -> None:
        self._wakeups = wakeups
        pulls = Kind(lambda claim: Job(tools, claim, Arrival(tools, http, claim), PULLING), PULLING)
        self._scheduler = Scheduler(
            tools.sessions, wakeups, pulls, places=places, policy=tools.policy
        )
        kept = tools.policy.versions_kept
        self._upkeep = Upkeep(tools.sessions, wakeups, tools.garbage, kept)

    async def run(self) -> None:
        """Work for ever; cancelled, give back what is not done."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wakeups.run((WORK,)))
            tasks.create_task(self._scheduler.run())
            tasks.create_task(self._upkeep.run())
