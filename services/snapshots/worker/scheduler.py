"""Finds work that is due and has it done, as much at once as there are places."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from chassis.db import Sessions
from chassis.listen import Wakeups
from services.snapshots.commands.moves import WORK
from services.snapshots.commands.pulls import claim_pull
from services.snapshots.domain import Claim
from services.snapshots.queries import work
from services.snapshots.worker.job import Job
from services.snapshots.worker.measures import Measures
from services.snapshots.worker.outages import brief, is_outage
from services.snapshots.worker.policy import SAFETY_POLL_SECONDS, Policy
from services.snapshots.worker.waiting import wait

log = logging.getLogger(__name__)
_OUTAGE_SECONDS = 1.0
_SHORTEST_SECONDS = 0.05
_LAST_CLAIM_SECONDS = 1.0
# Many notifications in a row cost one look.
_BREATH_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work: how it is done and measured.

    `builds`: it is what is to be built instead of pulled, and for each organization one is built at a time.
    """

    job: Callable[[Claim], Job]
    measures: Measures
    builds: bool = False


class Scheduler:
    """Any number of them, in any number of processes, share the work; a random name tells them apart."""

    def __init__(
        self, sessions: Sessions, wakeups: Wakeups, kind: Kind, *, places: int, policy: Policy
    ) -> None:
        self._sessions, self._wakeups = sessions, wakeups
        self._job, self._measures, self._builds = kind.job, kind.measures, kind.builds
        self._name, self._places, self._policy = uuid4().hex, places, policy
        # So that one organization's flood leaves a place to the others.
        self._share = 1 if kind.builds else max(1, places - 1)
        self._running: set[Job] = set()

    async def run(self) -> None:
        """Work for ever; cancelled, give everything back."""
        with self._wakeups.on(WORK) as woken:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    woken.clear()
                    for job in self._running:
                        job.check()
                    await wait(woken, await self._look(tasks, woken))
                    await asyncio.sleep(_BREATH_SECONDS)

    async def _look(self, tasks: asyncio.TaskGroup, woken: asyncio.Event) -> float:
        """Start what is due; return when to look again even if nobody calls."""
        try:
            while len(self._running) < self._places:
                claim = await self._claim()
                if claim is None:
                    break
                job = self._job(claim)
                self._running.add(job)
                tasks.create_task(self._do(job, woken))
                # Begun, it gives its claim back when it is cancelled.
                await asyncio.sleep(0)
            return await self._pause()
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("no work can be looked for: %s", brief(error))
            return _OUTAGE_SECONDS

    async def _claim(self) -> Claim | None:
        claiming = asyncio.ensure_future(self._take())
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # What is claimed in this very moment would be kept from others until its lease ends.
            await asyncio.wait({claiming}, timeout=_LAST_CLAIM_SECONDS)
            if not claiming.done():
                claiming.cancel()
            elif claiming.exception() is None and (claim := claiming.result()) is not None:
                await self._job(claim).give_back()
            raise

    async def _take(self) -> Claim | None:
        async with self._sessions.begin() as session:
            return await claim_pull(
                session,
                self._name,
                lease=timedelta(seconds=self._policy.lease),
                patience=timedelta(seconds=self._policy.deadline),
                share=self._share,
                builds=self._builds,
            )

    async def _do(self, job: Job, woken: asyncio.Event) -> None:
        try:
            await job.run()
        finally:
            self._running.discard(job)
            woken.set()

    async def _pause(self) -> float:
        async with self._sessions.begin() as session:
            backlog = await work.backlog(session, builds=self._builds)
            due = await work.seconds_until_due(session, share=self._share, builds=self._builds)
        self._measures.due.set(backlog.due)
        self._measures.oldest.set(backlog.oldest)
        full = len(self._running) >= self._places
        if due is None or full:
            return SAFETY_POLL_SECONDS
        # What became due since it was looked for is not kept waiting; nor is the database asked without a break.
        return min(max(due, _SHORTEST_SECONDS), SAFETY_POLL_SECONDS)
