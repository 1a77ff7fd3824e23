"""Wake-ups: one connection that LISTENs, many tasks that wait."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from chassis.process import unless_cancelled

log = logging.getLogger(__name__)
_RETRY_SECONDS = 0.5


class Wakeups:
    """Sets an event for every waiter when its channel is notified, and whenever a notification may have been lost."""

    def __init__(self, url: str, application: str) -> None:
        self._url = url
        self._application = application
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def on(self, channel: str) -> Iterator[asyncio.Event]:
        """Give an event that is set at every notification on `channel`; it is set to begin with."""
        event = asyncio.Event()
        event.set()
        self._waiters[channel].add(event)
        try:
            yield event
        finally:
            self._waiters[channel].discard(event)

    async def run(self, channels: tuple[str, ...]) -> None:
        """Listen for ever; after a lost connection wake everybody, because something may have been missed."""
        while True:
            try:
                await self._listen(channels)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as lost:
                unless_cancelled()
                log.warning("listening connection lost: %s", lost)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self, channels: tuple[str, ...]) -> None:
        closed = asyncio.Event()
        connection = await asyncpg.connect(
            self._url,
            server_settings={"application_name": f"{self._application} listener"},
            timeout=10,
        )
        try:
            connection.add_termination_listener(lambda _: closed.set())
            for channel in channels:
                await connection.add_listener(channel, self._notified)
            for channel in channels:
                self._wake(channel)
            await closed.wait()
        finally:
            await connection.close(timeout=2)

    def _notified(self, _connection: object, _pid: int, channel: str, _payload: object) -> None:
        self._wake(channel)

    def _wake(self, channel: str) -> None:
        for event in self._waiters[channel]:
            event.set()
