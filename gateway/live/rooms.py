"""Who listens where; and the one watch over the snapshots' feed that a gateway holds while somebody does."""

import asyncio
import logging
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import grpc

from chassis.errors import Kind, Refusal
from chassis.grpc.caller import Caller, Identity
from gateway.live.told import TYPES, farewell, in_order, text_of
from ratoon.events.v1 import event_feed_service_pb2 as pb
from ratoon.events.v1 import event_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import EventFeedServiceStub

log = logging.getLogger(__name__)
# The feed tells now and then twice what a transaction still runs beside: so many are remembered.
_REMEMBERED = 50_000
_STANDS_SECONDS = 10.0


class TooManyListeners(Refusal):
    kind, reason = Kind.RESOURCE_EXHAUSTED, "LISTENER_LIMIT_REACHED"


class EventsUnavailable(Refusal):
    kind, reason = Kind.UNAVAILABLE, "EVENTS_UNAVAILABLE"


class Listener(Protocol):
    """Somebody in a room."""

    caller: Caller

    def tell(self, text: str) -> None:
        """Have something sent, without waiting."""

    def drop(self, why: str, last: str = "") -> None:
        """End the connection at once; nothing more is sent but this."""


@dataclass(frozen=True, slots=True)
class Most:
    """How many connections there may be at a time."""

    of_organization: int = 200
    of_credential: int = 50


class Rooms:
    """A room is an organization: whoever is in it is told what happens there, once and in order."""

    def __init__(self, stub: EventFeedServiceStub, identity: Identity, most: Most) -> None:
        self._stub = stub
        self._identity = identity
        self._most = most
        self._rooms: defaultdict[str, set[Listener]] = defaultdict(set)
        self._of_credential: Counter[str] = Counter()
        self._watching: asyncio.Task[None] | None = None
        self._stands = asyncio.Event()
        self._told: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def place(self, listener: Listener) -> Iterator[None]:
        """Let somebody into the room of its organization. Refused with LISTENER_LIMIT_REACHED."""
        caller = listener.caller
        room, credential = self._rooms[caller.organization_id], _credential(caller)
        if (
            len(room) >= self._most.of_organization
            or self._of_credential[credential] >= self._most.of_credential
        ):
            raise TooManyListeners("too many connections listen already")
        room.add(listener)
        self._of_credential[credential] += 1
        try:
            yield
        finally:
            room.discard(listener)
            self._of_credential[credential] -= 1
            self._tidy(caller.organization_id, credential)

    async def stand(self) -> None:
        """Return when everything that is committed from now on is told. Refused with EVENTS_UNAVAILABLE."""
        if self._watching is None:
            self._stands = asyncio.Event()
            self._watching = asyncio.create_task(self._watch(self._stands))
        watching, standing = self._watching, asyncio.create_task(self._stands.wait())
        await asyncio.wait(
            (watching, standing), timeout=_STANDS_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if not standing.done():
            standing.cancel()
            raise EventsUnavailable("events cannot be watched now; try again")

    def revoke(self, at: float, api_key_id: str, user_id: str, organization_id: str) -> None:
        """Drop everybody whom a revocation concerns; who may listen still comes back by itself."""
        del at
        named = (
            [self._rooms.get(organization_id, set())] if organization_id else self._rooms.values()
        )
        for room in list(named):
            for listener in list(room):
                caller = listener.caller
                if api_key_id in ("", caller.api_key_id) and user_id in ("", caller.user_id):
                    listener.drop("revoked")

    def close(self, organization_id: str) -> None:
        """Tell everybody in the room of an organization that it was deleted, and drop them."""
        for listener in list(self._rooms.get(organization_id, ())):
            listener.drop("organization deleted", farewell(organization_id))

    def drop_all(self, why: str) -> None:
        """Drop everybody: what was missed is not known, and who comes back asks for the state of things."""
        for room in list(self._rooms.values()):
            for listener in list(room):
                listener.drop(why)

    @property
    def listeners(self) -> int:
        return sum(map(len, self._rooms.values()))

    def _tidy(self, organization_id: str, credential: str) -> None:
        if not self._of_credential[credential]:
            del self._of_credential[credential]
        if not self._rooms[organization_id]:
            del self._rooms[organization_id]
        if not self._rooms and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _watch(self, stands: asyncio.Event) -> None:
        request = pb.WatchRequest(ungated=True, types=TYPES)
        stream = self._stub.Watch(request, metadata=self._identity.metadata())
        try:
            async for answer in stream:
                stands.set()
                self._tell(answer.events)
        except grpc.aio.AioRpcError as cut:
            log.info("feed of snapshots cut: %s (%s)", cut.code().name, cut.details())
        except Exception:
            log.exception("an event of snapshots could not be told")
        finally:
            stream.cancel()
        # Whoever comes from now on has a watch of its own begun, unless that has happened already.
        if self._watching is asyncio.current_task():
            self._watching = None
            self.drop_all("the feed was cut")

    def _tell(self, events: Iterable[event_pb2.Event]) -> None:
        for event in in_order(e for e in events if self._is_new(e.cursor)):
            room = self._rooms.get(event.organization_id)
            if room:
                text = text_of(event)
                for listener in room:
                    listener.tell(text)

    def _is_new(self, cursor: str) -> bool:
        if cursor in self._told:
            return False
        self._told[cursor] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return True


def _credential(caller: Caller) -> str:
    return caller.api_key_id or f"{caller.organization_id}/{caller.user_id}"
