"""Jobs on many snapshots are done piece by piece, those of one organization and another in turn."""

import asyncio
import logging
from uuid import UUID

import grpc

from chassis.db import Sessions
from chassis.listen import Wakeups
from services.snapshots.commands import bulk
from services.snapshots.commands.moves import WORK
from services.snapshots.domain import Busy, Limits, LimitsOutdated, OrganizationGone, QuotaExceeded
from services.snapshots.domain.bulk import Action
from services.snapshots.peers import Organizations
from services.snapshots.worker.outages import brief, is_outage
from services.snapshots.worker.policy import SAFETY_POLL_SECONDS
from services.snapshots.worker.waiting import wait

log = logging.getLogger(__name__)
_PIECE, _SMALLER = 500, 5
_OUTAGE_SECONDS = 1.0
_BREATH_SECONDS = 0.01


class Bulk:
    """Any number of workers may do this at once; each piece is done by one of them.

    `no_builder`: why nothing is built here; empty: something is.
    """

    def __init__(
        self, sessions: Sessions, wakeups: Wakeups, organizations: Organizations, no_builder: str
    ) -> None:
        self._sessions, self._wakeups, self._organizations = sessions, wakeups, organizations
        self._no_builder = no_builder

    async def run(self) -> None:
        """Work for ever."""
        with self._wakeups.on(WORK) as woken:
            while True:
                woken.clear()
                await wait(woken, await self._look())
                await asyncio.sleep(_BREATH_SECONDS)

    async def step(self) -> bool:
        """Do a piece of the job whose turn it is. False: there is none."""
        async with self._sessions.begin() as session:
            turn = await bulk.next_job(session)
        if turn is None:
            return False
        job_id, organization_id, action = turn
        try:
            await self._piece(job_id, organization_id, action)
        except grpc.aio.AioRpcError:
            async with self._sessions.begin() as session:
                await bulk.put_off(session, job_id)
            raise
        return True

    async def _look(self) -> float:
        """Do what there is; return when to look again even if nobody calls."""
        try:
            while await self.step():
                pass
        except grpc.aio.AioRpcError as away:
            log.warning("limits are not known: %s", away.code().name)
            return _OUTAGE_SECONDS
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("many snapshots have to wait: %s", brief(error))
            return _OUTAGE_SECONDS
        return SAFETY_POLL_SECONDS

    async def _piece(self, job_id: UUID, organization_id: UUID, action: Action) -> None:
        """Do a piece; a smaller one, when others change the same snapshots or take the last places."""
        size, asks = _PIECE, action is Action.ACTIVATE
        while True:
            limits = await self._limits(organization_id) if asks else None
            try:
                async with self._sessions.begin() as session:
                    await bulk.work(session, job_id, limits, size, self._no_builder)
            except (Busy, QuotaExceeded, LimitsOutdated):
                size = max(1, size // _SMALLER)
            except OrganizationGone:
                # Since its limits were asked for.
                asks = False
            else:
                return

    async def _limits(self, organization_id: UUID) -> Limits | None:
        try:
            return await self._organizations.fresh_limits_of(str(organization_id))
        except OrganizationGone:
            return None
