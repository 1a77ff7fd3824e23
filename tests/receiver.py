"""Somebody who receives webhooks, on a real socket: what came, whether it is signed, and what is answered."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def verify(self, secret: str) -> None:
        """Raise unless it is signed with the secret."""
        Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[Received], Awaitable[web.Response]]


async def thank(_: Received) -> web.Response:
    return web.Response(status=204)


@dataclass
class Receiver:
    port: int
    answer: Answer = thank
    received: list[Received] = field(default_factory=list)
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        return [r for r in self.received if r.path == path]

    async def until(self, count: int, path: str = "/hook") -> list[Received]:
        """Wait until so much has come there; return it in the order in which it came."""
        async with asyncio.timeout(30), self._came:
            await self._came.wait_for(lambda: len(self.at(path)) >= count)
        return self.at(path)

    async def take(self, request: web.Request) -> web.StreamResponse:
        body, headers = await request.read(), {k.lower(): v for k, v in request.headers.items()}
        one = Received(request.path, headers, body)
        async with self._came:
            self.received.append(one)
            self._came.notify_all()
        return await self.answer(one)


@asynccontextmanager
async def a_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver(0)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    yield receiver
    await runner.cleanup()
