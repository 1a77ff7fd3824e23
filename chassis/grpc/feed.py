"""EventFeedService over an outbox."""

import asyncio
import logging
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from functools import lru_cache
from typing import Any

import msgspec
from google.protobuf.message_factory import GetMessageClass

from chassis.grpc.access import ServiceRefused
from chassis.grpc.interceptors import current_caller
from chassis.grpc.wire import to_timestamp
from chassis.listen import Wakeups
from chassis.outbox import CHANNEL, Feed, Row, position_of
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
