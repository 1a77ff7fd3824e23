"""Answers that go on while something happens: cut off when who reads them may not any more."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from chassis.grpc.caller import Caller
from chassis.grpc.feed import wait
from gateway.access import confirm
from gateway.call import Call

# A credential may expire without anybody telling.
_CONFIRM_SECONDS = 25.0


class Streams:
    """Knows which of them run, and for whom."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Event, Caller] = {}

    @contextmanager
    def place(self, caller: Caller) -> Iterator[asyncio.Event]:
        """Give an event that is set when the caller may have been revoked."""
        doubted = asyncio.Event()
        self._open[doubted] = caller
        try:
            yield doubted
        finally:
            del self._open[doubted]

    def revoke(self, at: float, api_key_id: str, user_id: str, organization_id: str) -> None:
        """Have everybody asked about whom a revocation concerns."""
        del at
        for doubted, caller in self._open.items():
            if (
                api_key_id in ("", caller.api_key_id)
                and user_id in ("", caller.user_id)
                and organization_id in ("", caller.organization_id)
            ):
                doubted.set()

    def doubt_all(self) -> None:
        """Have everybody asked about: what was revoked meanwhile is not known."""
        for doubted in self._open:
            doubted.set()


async def pieces(call: Call, first: Any, stream: Any) -> AsyncGenerator[Any, None]:
    """Yield what a service streams, the first piece of which was read, as long as the caller may have it.

    The refusal of who may not any more cuts the answer off.
    """
    with call.visit.gateway.streams.place(call.caller) as doubted:
        watching = asyncio.create_task(_watch(call, doubted))
        try:
            piece = first
            while piece is not grpc.aio.EOF:
                yield piece
                piece = await _next(stream, watching)
        finally:
            stream.cancel()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _next(stream: Any, watching: asyncio.Task[None]) -> Any:
    reading = asyncio.ensure_future(stream.read())
    try:
        await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        return await reading
    finally:
        reading.cancel()


async def _watch(call: Call, doubted: asyncio.Event) -> None:
    """Return never; refused when the caller may not read any more."""
    while True:
        await wait(doubted, _CONFIRM_SECONDS)
        doubted.clear()
        await confirm(call)
