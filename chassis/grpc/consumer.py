"""Events take effect: a neighbour's, by its feed, or the own ones, each once however many consume them."""

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import grpc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from chassis.grpc.caller import Identity
from chassis.grpc.feed import event_to_proto, ordered
from chassis.grpc.interceptors import unavailable
from chassis.grpc.wire import from_timestamp
from chassis.listen import Wakeups
from chassis.metrics import FEED_LAG
from chassis.outbox import CursorExpired, Feed, order_of
from chassis.process import unless_cancelled
from ratoon.events.v1 import event_feed_service_pb2 as pb
from ratoon.events.v1 import event_feed_service_pb2_grpc as pb_grpc
from ratoon.events.v1 import event_pb2

log = logging.getLogger(__name__)
Handle = Callable[[AsyncSession, event_pb2.Event], Awaitable[None]]
Events = Sequence[event_pb2.Event]
HandleAll = Callable[[AsyncSession, Events], Awaitable[None]]


class _Taking(ABC):
    """Takes events into effect, each once: cursor and effect share a transaction.

    Any number may consume one feed beside each other: whoever moves the cursor first takes the events, and the others
    go on behind it.
    """

    def __init__(self, feed: str, sessions: Sessions, *, each: bool = False) -> None:
        """`each`: what others have taken takes effect here again, after them, because this process has to hear of it."""
        self._feed = feed
        self._sessions = sessions
        self._each = each
        self._taken = ""

    @abstractmethod
    def _events(self, after: str) -> AsyncGenerator[Events, None]:
        """Yield what happened behind the cursor, in order, some at a time."""

    async def run(self, handle: Handle) -> None:
        """Consume for ever, one event after the other; what fails is tried again from the last cursor that took effect."""

        async def each(session: AsyncSession, events: Events) -> None:
            for event in events:
                await handle(session, event)

        await self.run_all(each)

    async def run_all(self, handle: HandleAll) -> None:
        """Consume for ever, as many events together as were shown together."""
        while True:
            try:
                await self._follow(handle)
            except CursorExpired:
                await self._missed()
            except grpc.aio.AioRpcError as cut:
                log.info("feed of %s cut: %s (%s)", self._feed, cut.code().name, cut.details())
                if cut.code() is grpc.StatusCode.OUT_OF_RANGE:
                    await self._missed()
            except Exception as failure:
                unless_cancelled()
                if unavailable(failure):
                    log.warning("feed of %s: away: %s", self._feed, type(failure).__name__)
                else:
                    log.exception("an event of %s could not take effect", self._feed)
            await asyncio.sleep(random.uniform(0.1, 0.5))

    async def _follow(self, handle: HandleAll) -> None:
        self._taken = await self._cursor()
        async with aclosing(self._events(self._taken)) as shown:
            async for events in shown:
                await self._take(handle, events)

    async def _take(self, handle: HandleAll, events: Events) -> None:
        """Take into effect what nobody else has taken."""
        while events := await self._left(handle, events):
            if await self._took(handle, events):
                happened = from_timestamp(events[-1].create_time)
                FEED_LAG.labels(self._feed).set((datetime.now(UTC) - happened).total_seconds())
                self._taken = events[-1].cursor
                return
            self._taken = await self._cursor()

    async def _left(self, handle: HandleAll, events: Events) -> Events:
        """Return what is behind the cursor."""
        taken = order_of(self._taken) if self._taken else (0, 0)
        passed = sum(order_of(e.cursor) <= taken for e in events)
        if passed and self._each:
            async with self._sessions.begin() as session:
                await handle(session, events[:passed])
        return events[passed:]

    async def _took(self, handle: HandleAll, events: Events) -> bool:
        # The cursor first: its row keeps the others waiting until the effect is committed.
        async with self._sessions.begin() as session:
            if not await self._move(session, events[-1].cursor):
                return False
            await handle(session, events)
            return True

    async def _move(self, session: AsyncSession, to: str) -> bool:
        """Move the cursor; False: it is not where this consumer left it."""
        where = {"feed": self._feed, "before": self._taken, "cursor": to}
        return await session.scalar(_MOVE, where) is not None

    async def _cursor(self) -> str:
        async with self._sessions() as session:
            return await session.scalar(_CURSOR, {"feed": self._feed}) or ""

    async def _missed(self) -> None:
        """Begin with what is kept, unless somebody else has begun with that already."""
        log.error("events of %s were missed: away for longer than they are kept", self._feed)
        async with self._sessions.begin() as session:
            await self._move(session, "")


class Consumer(_Taking):
    """Takes a neighbour's events into effect."""

    def __init__(
        self,
        feed: str,
        channel: grpc.aio.Channel,
        identity: Identity,
        sessions: Sessions,
        *,
        each: bool = False,
    ) -> None:
        super().__init__(feed, sessions, each=each)
        self._stub = pb_grpc.EventFeedServiceStub(channel)
        self._identity = identity

    async def _events(self, after: str) -> AsyncGenerator[Events, None]:
        request = pb.WatchRequest(after=after)
        stream = self._stub.Watch(request, metadata=self._identity.metadata())
        try:
            async for answer in stream:
                yield answer.events
        finally:
            stream.cancel()


class OwnConsumer(_Taking):
    """Takes the own events of a context into effect, read where they are written."""

    def __init__(self, feed: str, source: Feed, wakeups: Wakeups, sessions: Sessions) -> None:
        super().__init__(feed, sessions)
        self._source = source
        self._wakeups = wakeups

    async def _events(self, after: str) -> AsyncGenerator[Events, None]:
        async with aclosing(ordered(self._source, self._wakeups, after)) as shown:
            async for rows in shown:
                yield [event_to_proto(r) for r in rows]


_CURSOR = text("SELECT cursor FROM feed_cursors WHERE feed = :feed")
_MOVE = text(
    "INSERT INTO feed_cursors AS f (feed, cursor) VALUES (:feed, :cursor)"
    " ON CONFLICT (feed) DO UPDATE SET cursor = excluded.cursor WHERE f.cursor = :before RETURNING 1"
)
