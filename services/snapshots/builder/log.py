"""What a build says, on its way to the database: gathered for moments, in order, up to a limit."""

import asyncio
from types import TracebackType
from typing import Self

from chassis.db import Sessions
from services.snapshots.commands import builds
from services.snapshots.domain import Claim
from services.snapshots.queries.builds import log_length
from services.snapshots.worker.lease import LeaseLost
from services.snapshots.worker.outages import steadily

# So much is written at once; whoever says more waits.
_PIECE_BYTES = 64 << 10
_WAITING_BYTES = 1 << 20
_GATHER_SECONDS = 0.01
# What is kept of the end, to find the reason of a failure in.
_TAIL_BYTES = 16 << 10


class BuildLog:
    """The log of one claim's build, continued where an earlier attempt ended."""

    def __init__(self, sessions: Sessions, claim: Claim, limit: int) -> None:
        self._sessions, self._claim, self._limit = sessions, claim, limit
        self._buffer = bytearray()
        self._tail = bytearray()
        self._at = 0
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._closing = False
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        async def length() -> int:
            async with self._sessions.begin() as session:
                assert self._claim.build_id is not None
                return await log_length(session, self._claim.build_id)

        self._at = await steadily(length)
        self._left = max(0, self._limit - self._at)
        self._writer = asyncio.create_task(self._write())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        self._news.set()
        assert self._writer is not None
        if isinstance(error, asyncio.CancelledError):
            # Whoever cancels waits: for the reader of the log it is over anyway.
            self._writer.cancel()
        [ended] = await asyncio.gather(self._writer, return_exceptions=True)
        if error is None and isinstance(ended, BaseException):
            raise ended

    @property
    def tail(self) -> str:
        """The end of what was said."""
        return self._tail.decode(errors="replace")

    async def say(self, text: str) -> None:
        await self.add(text.encode())

    async def add(self, data: bytes) -> None:
        """Take more of what is said. Raises LeaseLost when nobody may say anything any more."""
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        taken = data[: self._left]
        self._left -= len(taken)
        self._buffer += taken
        if len(taken) < len(data) and self._limit:
            self._buffer += b"\n[the log is longer than it may be: what follows is not kept]\n"
            self._left = self._limit = 0
        self._news.set()
        if len(self._buffer) > _WAITING_BYTES:
            self._room.clear()
        waiting = asyncio.ensure_future(self._room.wait())
        assert self._writer is not None
        await asyncio.wait({waiting, self._writer}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._writer.done():
            self._writer.result()

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            if not self._closing:
                await asyncio.sleep(_GATHER_SECONDS)
            self._news.clear()
            while self._buffer:
                piece = bytes(self._buffer[:_PIECE_BYTES])
                await self._append(piece)
                self._at += len(piece)
                del self._buffer[: len(piece)]
                if len(self._buffer) <= _WAITING_BYTES:
                    self._room.set()
            if self._closing:
                return

    async def _append(self, piece: bytes) -> None:
        async def append() -> bool:
            async with self._sessions.begin() as session:
                return await builds.append(session, self._claim, self._at, piece)

        if not await steadily(append):
            raise LeaseLost
