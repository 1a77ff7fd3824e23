"""A gRPC server: health, reflection, the door, an orderly end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from chassis.grpc.access import rules
from chassis.grpc.caller import Verifier
from chassis.grpc.interceptors import Door
from chassis.process import notify

log = logging.getLogger(__name__)
_DRAIN_SECONDS = 8.0
_CLOSE_SECONDS = 0.5
_OPTIONS = [
    # Two processes on one port would both seem to work.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
]


class Server:
    """One process's gRPC server."""

    def __init__(self, domain: str, verifier: Verifier) -> None:
        self._domain = domain
        self._verifier = verifier
        self._modules: list[Any] = []
        self._adders: list[Callable[[grpc.aio.Server], None]] = []
        self._health = health.aio.HealthServicer()
        self._door: Door | None = None

    def add(self, module: Any, add_to_server: Callable[[Any, Any], None], servicer: Any) -> None:
        """Serve `servicer`, whose service the `_pb2` module describes."""
        self._modules.append(module)
        self._adders.append(lambda server: add_to_server(servicer, server))

    async def start(self, listen: str) -> grpc.aio.Server:
        """Bind to `listen` (`unix:/path` or `host:port`) and serve."""
        self._door = Door(rules(self._modules), self._verifier, f"{self._domain}.ratoon")
        server = grpc.aio.server(interceptors=[self._door], options=_OPTIONS)
        for add in self._adders:
            add(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(self._names(), server)
        if server.add_insecure_port(listen) == 0:
            raise RuntimeError(f"cannot listen on {listen}")
        await server.start()
        for name in ("", *self._names()):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return server

    async def serve(self, listen: str, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then refuse new calls, finish those that run, and return."""
        server = await self.start(listen)
        log.info("serving", extra={"listen": listen})
        notify("READY=1")
        await stop.wait()
        notify("STOPPING=1")
        await self._health.enter_graceful_shutdown()
        await self._drain(server)

    async def _drain(self, server: grpc.aio.Server) -> None:
        assert self._door is not None
        stopping = asyncio.create_task(server.stop(_DRAIN_SECONDS))
        # New calls are refused from here on.
        await asyncio.sleep(0)
        leaving = asyncio.create_task(self._door.leave())
        await asyncio.wait({stopping, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        # Everything is answered. Now and then gRPC waits for a stream that ended as if it had not.
        await asyncio.wait({stopping}, timeout=_CLOSE_SECONDS)
        if not stopping.done():
            stopping.cancel()
            await server.stop(None)

    def _names(self) -> list[str]:
        services = [s for m in self._modules for s in m.DESCRIPTOR.services_by_name.values()]
        return [*(s.full_name for s in services), health.SERVICE_NAME, reflection.SERVICE_NAME]
