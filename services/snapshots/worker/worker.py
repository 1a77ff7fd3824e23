"""The whole of a worker over one database and one store."""

import asyncio
from uuid import uuid4

from chassis.db import Sessions
from chassis.listen import Wakeups
from services.snapshots.commands.moves import WORK
from services.snapshots.domain.credentials import Anonymous, Credentials
from services.snapshots.images.http import Http
from services.snapshots.store.port import Store
from services.snapshots.worker.arrival import Arrival
from services.snapshots.worker.garbage import Garbage
from services.snapshots.worker.job import Job
from services.snapshots.worker.measures import PULLING
from services.snapshots.worker.policy import Policy
from services.snapshots.worker.room import Room
from services.snapshots.worker.scheduler import Scheduler
from services.snapshots.worker.tools import LargestImage, Tools
from services.snapshots.worker.upkeep import Upkeep


class Worker:
    """`places`: pulls at once. `store_limit`: bytes the store may hold; None: what the disk has.

    Without `credentials` everything is pulled as anybody.
    """

    def __init__(
        self,
        sessions: Sessions,
        wakeups: Wakeups,
        http: Http,
        store: Store,
        largest_image: LargestImage,
        *,
        places: int,
        policy: Policy,
        store_limit: int | None,
        credentials: Credentials | None = None,
    ) -> None:
        self._wakeups = wakeups
        garbage = Garbage(sessions, store)
        room = Room(store, store_limit)
        tools = Tools(
            sessions, store, room, garbage, largest_image, policy, credentials or Anonymous()
        )
        self._scheduler = Scheduler(
            sessions,
            wakeups,
            lambda claim: Job(tools, claim, Arrival(tools, http, claim), PULLING),
            name=uuid4().hex,
            places=places,
            policy=policy,
            measures=PULLING,
        )
        self._upkeep = Upkeep(sessions, wakeups, garbage, policy.versions_kept)

    async def run(self) -> None:
        """Work for ever; cancelled, give back what is not done."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wakeups.run((WORK,)))
            tasks.create_task(self._scheduler.run())
            tasks.create_task(self._upkeep.run())
