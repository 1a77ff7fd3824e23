"""Organizations are looked at when orgs says that they changed, and when the grace period of a suspension ends."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

import grpc

from chassis.db import Sessions
from chassis.grpc.feed import wait
from chassis.listen import Wakeups
from chassis.process import unless_cancelled
from services.snapshots.commands import retirement, reviews
from services.snapshots.domain import Busy, Limits, OrganizationGone
from services.snapshots.peers import Organizations
from services.snapshots.servicer.upkeep import AWAY

log = logging.getLogger(__name__)
# For what nobody told of; a notification may be lost together with its connection.
_LONGEST_SECONDS, _AWAY_SECONDS = 60.0, 1.0
_PATIENCE = timedelta(minutes=1)


class Reviews:
    """Any number of servers may do this at once: what one has done the other finds done."""

    def __init__(self, sessions: Sessions, organizations: Organizations, wakeups: Wakeups) -> None:
        self._sessions = sessions
        self._organizations = organizations
        self._wakeups = wakeups

    async def apply(self, organization_id: UUID) -> Limits:
        """Ask orgs for the limits and have nothing made under older ones. Refused with ORGANIZATION_FORBIDDEN."""
        limits = await self._organizations.fresh_limits_of(str(organization_id))
        async with self._sessions.begin() as session:
            await reviews.apply(session, organization_id, limits.revision)
        return limits

    async def run(self) -> None:
        """Look at what is due, for ever."""
        with self._wakeups.on(reviews.REVIEW) as woken:
            while True:
                woken.clear()
                try:
                    pause = await self._look()
                except (*AWAY, grpc.aio.AioRpcError) as away:
                    unless_cancelled()
                    log.warning("limits cannot be looked at now: %s", type(away).__name__)
                    # What woke it meanwhile is no reason to try faster.
                    await asyncio.sleep(_AWAY_SECONDS)
                    continue
                await wait(woken, pause)

    async def _look(self) -> float:
        """Look at what is due; return after how many seconds something is again."""
        while True:
            async with self._sessions.begin() as session:
                review = await reviews.next_review(session)
            if review is None:
                return _LONGEST_SECONDS
            if review.seconds > 0:
                return min(review.seconds, _LONGEST_SECONDS)
            await self._review(review)

    async def _review(self, review: reviews.Review) -> None:
        id_, later = review.organization_id, None
        try:
            limits = await self.apply(id_)
        except OrganizationGone:
            later = await self._forget(id_)
        else:
            suspension = limits.suspension
            if suspension is not None and suspension.cleans_up(review.now):
                if suspension.cleanup > review.now:
                    later = datetime.fromtimestamp(suspension.cleanup, UTC)
                else:
                    await self._clean_up(id_, limits.revision)
        async with self._sessions.begin() as session:
            await reviews.settle(session, review, later)

    async def _forget(self, organization_id: UUID) -> datetime | None:
        """Forget an organization that is gone; return when to try again, while something of it is still there."""
        async with self._sessions.begin() as session:
            forgotten = await retirement.forget(session, organization_id)
        return None if forgotten else datetime.now(UTC) + _PATIENCE

    async def _clean_up(self, organization_id: UUID, revision: int) -> None:
        more = True
        while more:
            try:
                async with self._sessions.begin() as session:
                    more = await reviews.take_out_of_use(session, organization_id, revision)
            except Busy:
                more = True
