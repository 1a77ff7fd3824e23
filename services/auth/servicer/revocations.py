"""Revocations on their way from the databases to whoever caches callers."""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable

import asyncpg
import grpc

from chassis.db import Pool
from chassis.grpc.caller import Identity, Verifier
from chassis.grpc.feed import wait
from chassis.listen import Wakeups
from chassis.process import unless_cancelled
from ratoon.auth.v1 import authentication_pb2
from ratoon.events.v1 import event_feed_service_pb2, event_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import EventFeedServiceStub
from services.auth.commands.revocation import REVOKED
from services.auth.convert import revocation_to_proto
from services.auth.events import REVOKING, revoked_by
from services.auth.queries import revocations as queries
from services.auth.queries.revocations import Revoked

log = logging.getLogger(__name__)
_SAFETY_SECONDS = 5.0
_RETRY_SECONDS = 0.2
_REMEMBERED = 8192
_MOST_PENDING = 10_000
_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
Revocation = authentication_pb2.Revocation


class Watch:
    """One watcher's revocations that are not sent yet."""

    def __init__(self) -> None:
        self._pending: list[Revocation] = []
        self._woken = asyncio.Event()

    def push(self, revocations: list[Revocation]) -> None:
        self._pending += revocations
        if len(self._pending) > _MOST_PENDING:
            # A watcher that does not read is told, when it does, to drop everything.
            self._pending = [revocation_to_proto(Revoked(), time.time())]
        self._woken.set()

    async def take(self) -> list[Revocation]:
        """Return what came in, as soon as something has."""
        await self._woken.wait()
        self._woken.clear()
        taken, self._pending = self._pending, []
        return taken


class Revocations:
    """Tells every watcher, and this process's own verifier, what is revoked; each thing once."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._watches: set[Watch] = set()
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def watch(self) -> AsyncGenerator[list[Revocation], None]:
        """Yield an empty list, which says that the watch stands; then what is revoked from now on."""
        watch = Watch()
        self._watches.add(watch)
        try:
            yield []
            while True:
                yield await watch.take()
        finally:
            self._watches.discard(watch)

    def hear(self, events: Iterable[event_pb2.Event]) -> None:
        """Pass on what events of orgs revoke."""
        found = [("orgs " + e.cursor, revoked_by(e)) for e in events]
        self._publish((row, revoked) for row, revoked in found if revoked)

    async def follow_own(self, pool: Pool, wakeups: Wakeups) -> None:
        """Pass on what auth itself revokes, for ever."""
        mark = ""
        with wakeups.on(REVOKED) as woken:
            while True:
                woken.clear()
                try:
                    # The mark outlives a database that is away: nothing that was revoked meanwhile is missed.
                    mark = mark or await queries.mark(pool)
                    rows, mark = await queries.since(pool, mark)
                except _AWAY as lost:
                    unless_cancelled()
                    log.warning("revocations cannot be read: %s", type(lost).__name__)
                    await asyncio.sleep(_RETRY_SECONDS)
                    woken.set()
                    continue
                self._publish(rows)
                await wait(woken, _SAFETY_SECONDS)

    async def follow_orgs(self, channel: grpc.aio.Channel, identity: Identity) -> None:
        """Pass on what events of orgs revoke, for ever, at once and whatever else still runs there."""
        stub = EventFeedServiceStub(channel)
        request = event_feed_service_pb2.WatchRequest(ungated=True, types=REVOKING)
        while True:
            try:
                async for answer in stub.Watch(request, metadata=identity.metadata()):
                    if answer.events:
                        self.hear(answer.events)
                    else:
                        # What happened before the stream stood is not known: whoever was established then asks anew.
                        self._tell([Revoked()])
            except grpc.aio.AioRpcError as cut:
                log.info("revocations of orgs cut: %s (%s)", cut.code().name, cut.details())
            await asyncio.sleep(random.uniform(0.05, _RETRY_SECONDS))

    def _publish(self, rows: Iterable[tuple[str, Revoked]]) -> None:
        # A row may be read again and again while some transaction stays open; revoking again would hit the innocent.
        fresh = []
        for row, revoked in rows:
            if row not in self._seen:
                self._seen[row] = None
                fresh.append(revoked)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        if fresh:
            self._tell(fresh)

    def _tell(self, revoked: list[Revoked]) -> None:
        # The clock is read after the rows were: a caller established before the change is never missed.
        now = time.time()
        for r in revoked:
            self._verifier.revoke(now, r.api_key_id, r.user_id, r.organization_id)
        told = [revocation_to_proto(r, now) for r in revoked]
        for watch in self._watches:
            watch.push(told)
