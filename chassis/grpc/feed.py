"""EventFeedService over an outbox, and the consumer's side of it: of a neighbour's feed, or of the own one."""

import asyncio
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import grpc
import msgspec
from google.protobuf.message_factory import GetMessageClass
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from chassis.grpc.access import ServiceRefused
from chassis.grpc.caller import Identity
from chassis.grpc.interceptors import current_caller, unavailable
from chassis.grpc.wire import from_timestamp, to_timestamp
from chassis.listen import Wakeups
from chassis.metrics import FEED_LAG
from chassis.outbox import CHANNEL, CursorExpired, Feed, Row, order_of, position_of
from chassis.process import unless_cancelled
from ratoon.events.v1 import event_feed_service_pb2 as pb
from ratoon.events.v1 import event_feed_service_pb2_grpc as pb_grpc
from ratoon.events.v1 import event_pb2

log = logging.getLogger(__name__)
# While a row is held back by an older transaction nothing will announce that it became visible.
_HELD_BACK_SECONDS = 0.05
_SAFETY_SECONDS = 5.0
# Under load events are shown in batches, or every single one would cost a read here and a transaction there.
_LINGER_SECONDS = 0.1
# What revokes is urgent: an event that comes alone is shown at once, a crowd in readings with pauses as long as they
# take themselves, so that nobody reads for more than half of the time.
_SHORTEST_LINGER_SECONDS, _LONGEST_LINGER_SECONDS = 0.005, 0.02
# An event is converted once, however many watch: none is behind by more than this for long.
_SHARED = 2000
# Larger ones are few, and not worth the memory.
_SHARED_CHARACTERS = 16 << 10
# A message is read whole, and refused by its reader beyond 16 MiB.
_PORTION_CHARACTERS = 1 << 20
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_PAYLOADS = {
    field.name: GetMessageClass(field.message_type)
    for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None
}
Handle = Callable[[AsyncSession, event_pb2.Event], Awaitable[None]]
Events = Sequence[event_pb2.Event]
HandleAll = Callable[[AsyncSession, Events], Awaitable[None]]


class EventFeedServicer(pb_grpc.EventFeedServiceServicer):
    """Shows what happened in this context."""

    def __init__(self, feed: Feed, wakeups: Wakeups, for_gateways: Iterable[str] = ()) -> None:
        """A gateway may watch events of the types `for_gateways`, ungated, and nothing else."""
        self._feed = feed
        self._wakeups = wakeups
        self._for_gateways = frozenset(for_gateways)

    async def Watch(
        self, request: pb.WatchRequest, context: Any
    ) -> AsyncIterator[pb.WatchResponse]:
        self._check(request)
        if request.ungated:
            shown = ungated(self._feed, self._wakeups, request.types)
        else:
            shown = ordered(self._feed, self._wakeups, request.after)
        async with aclosing(shown):
            async for rows in shown:
                for some in portions(rows):
                    yield pb.WatchResponse(events=[event_to_proto(r) for r in some])

    def _check(self, request: pb.WatchRequest) -> None:
        if current_caller.get().service != "gateway":
            return
        asked = set(request.types)
        if not request.ungated or not asked or not asked <= self._for_gateways:
            raise ServiceRefused("a gateway may not watch this", service="gateway")


async def ordered(feed: Feed, wakeups: Wakeups, after: str) -> AsyncGenerator[list[Row], None]:
    """Yield what is behind the cursor, in order and nothing twice, and then what is committed, as soon as it may be shown.

    Refused as EventFeedService.Watch is.
    """
    position = await feed.start(after)
    with wakeups.on(CHANNEL) as woken:
        while True:
            woken.clear()
            rows, more = await feed.read(position)
            if rows:
                position = position_of(rows[-1])
                yield rows
                await asyncio.sleep(_LINGER_SECONDS)
            else:
                # What others commit meanwhile is held back too: no reason to look again and again.
                await (asyncio.sleep(_HELD_BACK_SECONDS) if more else wait(woken, _SAFETY_SECONDS))


async def ungated(
    feed: Feed, wakeups: Wakeups, types: Sequence[str] = ()
) -> AsyncGenerator[list[Row], None]:
    """Yield an empty list at once, then what of these types (none: all) is committed from now on, as soon as it is."""
    mark = await feed.now()
    with wakeups.on(CHANNEL) as woken:
        yield []
        while True:
            woken.clear()
            began = time.monotonic()
            rows, mark = await feed.read_ungated(mark, types)
            if rows:
                yield rows
            took = time.monotonic() - began
            await asyncio.sleep(min(max(took, _SHORTEST_LINGER_SECONDS), _LONGEST_LINGER_SECONDS))
            await wait(woken, _SAFETY_SECONDS)


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, but no longer than that."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Cut rows into what one message holds; at least one, be it empty."""
    begin = size = 0
    for at, row in enumerate(rows):
        if size and size + len(row.payload) > _PORTION_CHARACTERS:
            yield rows[begin:at]
            begin, size = at, 0
        size += len(row.payload)
    yield rows[begin:]


def event_to_proto(row: Row) -> event_pb2.Event:
    """Return an event as a message; all watchers may be shown the same one, which none may change."""
    return _shared(row) if len(row.payload) <= _SHARED_CHARACTERS else _converted(row)


def _converted(row: Row) -> event_pb2.Event:
    told: dict[str, Any] = {"origin": _message(event_pb2.Origin, row.origin)}
    if (payload := _PAYLOADS.get(row.type)) is not None:
        told[row.type] = _message(payload, row.payload)
    return event_pb2.Event(
        cursor=row.cursor,
        create_time=to_timestamp(row.created_at),
        organization_id=row.organization_id,
        **told,
    )


_shared = lru_cache(maxsize=_SHARED)(_converted)


def _message(kind: Any, written: str) -> Any:
    """Return what `announce` wrote as a message; fields that this release does not know are left out.

    By hand: the general conversion costs ten times as much.
    """
    return kind(**_known(kind.DESCRIPTOR, _decode(written)))


def _known(descriptor: Any, fields: dict[str, Any]) -> dict[str, Any]:
    known = descriptor.fields_by_name
    return {
        name: _known(known[name].message_type, value) if isinstance(value, dict) else value
        for name, value in fields.items()
        if name in known
    }


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
