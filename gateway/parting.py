"""The end of a connection on which the client may still be sending: it hears the answer before the connection goes.

Closed while something that was sent lies unread, a connection is reset, and a reset takes along what the client has not
read yet. So the answer is sent whole first; what still comes is thrown away, for a while; then the connection ends.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

Send = Callable[[Any], Awaitable[None]]
MOST_BYTES = 256 << 20
MOST_SECONDS, QUIET_SECONDS = 30.0, 5.0
_CLOSE = (b"connection", b"close")


class Parting:
    """Stands before an exchange's `send`; an answer that closes the connection is ended by `end` alone."""

    __slots__ = ("_closing", "_ended", "_receive", "_send")

    def __init__(self, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        self._receive, self._send = receive, send
        self._closing = self._ended = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._closing = _CLOSE in message["headers"]
        elif self._closing and not message.get("more_body"):
            # All of it, but for the word that it is all.
            self._ended = True
            message = {**message, "more_body": True}
        await self._send(message)

    async def end(self) -> None:
        """End the answer, if it was to be ended here."""
        if self._ended:
            await self._drain()
            await self._send({"type": "http.response.body"})

    async def _drain(self) -> None:
        left = MOST_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(MOST_SECONDS):
                while left > 0:
                    message = await asyncio.wait_for(self._receive(), QUIET_SECONDS)
                    if not message.get("more_body"):
                        return
                    left -= len(message["body"])
