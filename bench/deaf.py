"""auth as a gateway sees it whose revocations are lost on the way: everything passes, but the watch stays silent."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc

_WATCH = "/ratoon.auth.v1.AuthenticationService/WatchRevocations"


class _Through(grpc.GenericRpcHandler):
    """Passes bytes on as they are. A watch gets the message that says it stands, and then nothing, for ever."""

    def __init__(self, behind: grpc.aio.Channel) -> None:
        self._behind = behind

    def service(self, details: Any) -> Any:
        method = details.method
        if method == _WATCH:
            return grpc.unary_stream_rpc_method_handler(self._silent)
        call: Any = self._behind.unary_unary(method)

        async def act(request: bytes, context: Any) -> bytes:
            try:
                answer: bytes = await call(request, metadata=_passed(context))
            except grpc.aio.AioRpcError as refused:
                # What it was refused for is in the trailing metadata.
                told = tuple(refused.trailing_metadata() or ())
                await context.abort(refused.code(), refused.details() or "", told)
                raise
            return answer

        return grpc.unary_unary_rpc_method_handler(act)

    async def _silent(self, _request: bytes, _context: Any) -> Any:
        yield b""
        await asyncio.Event().wait()


def _passed(context: Any) -> tuple[tuple[str, Any], ...]:
    ours = [(k, v) for k, v in context.invocation_metadata() if not k.startswith("grpc-")]
    return tuple((k, v) for k, v in ours if k != "user-agent")


@contextmanager
def deaf(target: str) -> Iterator[str]:
    """Stand between a gateway and auth at `target`; yield where to."""
    with TemporaryDirectory(prefix="ratoon-deaf-") as folder:
        Path(folder).chmod(0o755)
        listen = f"unix:{folder}/s"
        loop, ready = asyncio.new_event_loop(), threading.Event()
        stop = asyncio.Event()
        thread = threading.Thread(
            target=loop.run_until_complete, args=(_serve(listen, target, ready, stop),)
        )
        thread.start()
        try:
            if not ready.wait(20):
                raise RuntimeError("the way to auth did not open")
            yield listen
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()


async def _serve(listen: str, target: str, ready: threading.Event, stop: asyncio.Event) -> None:
    options = [("grpc.default_authority", "ratoon")]
    async with grpc.aio.insecure_channel(target, options=options) as behind:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_Through(behind),))
        server.add_insecure_port(listen)
        await server.start()
        ready.set()
        await stop.wait()
        await server.stop(None)
