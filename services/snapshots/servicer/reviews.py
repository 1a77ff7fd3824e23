"""Organizations are looked at when orgs says that they changed, when the grace period of a suspension ends, and when
something of theirs may have been idle for too long."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import grpc
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from chassis.grpc.feed import wait
from chassis.listen import Wakeups
from chassis.process import unless_cancelled
from services.snapshots.commands import idle, retirement, reviews
from services.snapshots.domain import Busy, Limits, OrganizationGone
from services.snapshots.peers import Organizations
from services.snapshots.servicer.upkeep import AWAY

log = logging.getLogger(__name__)
# For what nobody told of; a notification may be lost together with its connection.
_LONGEST_SECONDS, _AWAY_SECONDS = 60.0, 1.0
_PATIENCE = timedelta(minutes=1)
# However many go idle one after the other, an organization is not looked at more often than so.
_SHORTEST = timedelta(seconds=1)
# A century without use is never, and further back there is no date.
_LONGEST_IDLE_MINUTES = 100 * 366 * 24 * 60


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
            try:
                await self._review(review)
            except grpc.aio.AioRpcError:
                await self._put_off(review)
                raise

    async def _review(self, review: reviews.Review) -> None:
        id_, later = review.organization_id, None
        try:
            limits = await self.apply(id_)
        except OrganizationGone:
            later = await self._forget(id_)
        else:
            later = _earliest(await self._suspend(review, limits), await self._rest(review, limits))
        async with self._sessions.begin() as session:
            await reviews.settle(session, review, later)

    async def _put_off(self, review: reviews.Review) -> None:
        """Let the others come first: it may be this organization alone of which nothing is said."""
        later = datetime.now(UTC) + timedelta(seconds=_AWAY_SECONDS)
        async with self._sessions.begin() as session:
            await reviews.settle(session, review, later)

    async def _forget(self, organization_id: UUID) -> datetime | None:
        """Forget an organization that is gone; return when to try again, while something of it is still there."""
        async with self._sessions.begin() as session:
            forgotten = await retirement.forget(session, organization_id)
        return None if forgotten else datetime.now(UTC) + _PATIENCE

    async def _suspend(self, review: reviews.Review, limits: Limits) -> datetime | None:
        """Take out of use what a suspension ends; return when that is due, if it will be."""
        suspension = limits.suspension
        if suspension is None or not suspension.cleans_up(review.now):
            return None
        if suspension.cleanup > review.now:
            return datetime.fromtimestamp(suspension.cleanup, UTC)
        await self._repeat(
            lambda s: reviews.take_out_of_use(s, review.organization_id, limits.revision)
        )
        return None

    async def _rest(self, review: reviews.Review, limits: Limits) -> datetime | None:
        """Take out of use what is idle; return when something is next, if ever."""
        if not 0 < limits.idle_minutes <= _LONGEST_IDLE_MINUTES:
            return None
        id_, timeout = review.organization_id, timedelta(minutes=limits.idle_minutes)
        now = datetime.fromtimestamp(review.now, UTC)
        await self._repeat(lambda s: idle.deactivate(s, id_, now - timeout, limits.revision))
        async with self._sessions.begin() as session:
            due = await idle.next_due(session, id_, now, timeout)
        return max(due, now + _SHORTEST)

    async def _repeat(self, act: Callable[[AsyncSession], Awaitable[bool]]) -> None:
        more = True
        while more:
            try:
                async with self._sessions.begin() as session:
                    more = await act(session)
            except Busy:
                more = True


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
