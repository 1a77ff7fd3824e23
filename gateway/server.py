"""The HTTP server: uvicorn on a socket of ours, an orderly end on SIGTERM."""

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chassis.process import notify
from gateway.live.packets import MOST_BYTES

log = logging.getLogger(__name__)
App = Callable[[Any, Any, Any], Awaitable[None]]
_UNIX = "unix:"
_UPGRADED = b"/api/socket.io/"
_BACKLOG = 1024
_DRAIN_SECONDS = 10
# Longer than a proxy keeps an idle connection, so that it is never the gateway that closes one in use.
_KEEP_ALIVE_SECONDS = 75


class Protocol(HttpToolsProtocol):
    """Upgrades where there are web sockets; elsewhere an upgrade is answered as the plain request it also is."""

    def _should_upgrade_to_ws(self) -> bool:
        return self.url.startswith(_UPGRADED)


class Server(uvicorn.Server):
    """Leaves the signals to the process and says when it listens."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            notify("READY=1")


def server_for(app: App) -> Server:
    """Return a server of the application; it says nothing on its own about requests and upgrades."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="websockets-sansio",
        ws_max_size=MOST_BYTES,
        # Whoever is told live events is pinged by their own protocol.
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    return Server(config)


async def serve(app: App, listen: str, stop: asyncio.Event) -> None:
    """Serve at `unix:/path` or `host:port` until `stop` is set; then finish what runs."""
    server = server_for(app)
    listening = listening_socket(listen)

    async def end() -> None:
        await stop.wait()
        notify("STOPPING=1")
        server.should_exit = True

    ending = asyncio.create_task(end())
    log.info("serving", extra={"listen": listen})
    try:
        await server.serve(sockets=[listening])
    finally:
        ending.cancel()
        listening.close()
    if not stop.is_set():
        raise RuntimeError("the HTTP server ended by itself")


def listening_socket(listen: str) -> socket.socket:
    """Return a bound socket; a unix one is open to the same user alone."""
    if listen.startswith(_UNIX):
        return _unix_socket(Path(listen.removeprefix(_UNIX)))
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Said to be TCP, or asyncio's own loop lets small answers wait for the acknowledgement of what went before (40 ms).
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host.strip("[]"), int(port)))
    return bound


def _unix_socket(path: Path) -> socket.socket:
    # What a process that was killed left behind is in the way; anything else there is not ours to remove.
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    finally:
        os.umask(before)
    return bound
