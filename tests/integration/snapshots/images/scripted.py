"""A registry in this process that answers correctly unless it is told how not to."""

import asyncio
import re
import socket
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from tests.images import Content, Image, encoded


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Reply:
    """A whole answer. `length` is what Content-Length says, if not the truth."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None

    def head(self) -> bytes:
        length = len(self.body) if self.length is None else self.length
        lines = [f"HTTP/1.1 {self.status} X", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(frozen=True)
class Exchange:
    """One request, what a good registry would answer, and the wire to answer on."""

    request: Request
    proper: Reply
    writer: asyncio.StreamWriter

    async def send(self, reply: Reply) -> None:
        self.writer.write(reply.head() + reply.body)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        wire = self.writer.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Exchange], Awaitable[None]]


@dataclass
class ScriptedRegistry:
    """Serves images; `scripts` hold, by pattern of the path, what to do instead, once each."""

    host: str = ""
    manifests: dict[str, Content] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    scripts: list[tuple[re.Pattern[str], deque[Script]]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    # Says whether a request may pass; None: yes, else the answer it gets instead.
    guard: Callable[[Request], Reply | None] = lambda _request: None
    ranges: bool = True

    def serve(self, image: Image, tag: str = "1") -> None:
        self.serve_manifest(image.manifest, tag)
        self.blobs |= {blob.digest: blob.data for blob in image.blobs}

    def serve_manifest(self, manifest: Content, *tags: str) -> None:
        self.manifests |= dict.fromkeys([manifest.digest, *tags], manifest)

    def instead(self, path: str, *scripts: Script | Reply) -> None:
        """Follow these scripts, in turn, for the next requests whose path matches."""
        steps = deque(_script(step) for step in scripts)
        self.scripts.append((re.compile(path), steps))

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if re.search(path, request.path)]

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.requests.append(request)
        exchange = Exchange(request, self.guard(request) or self._proper(request), writer)
        for pattern, steps in self.scripts:
            if steps and pattern.search(request.path):
                await steps.popleft()(exchange)
                return
        await exchange.send(exchange.proper)

    def _proper(self, request: Request) -> Reply:
        name = request.path.rpartition("/")[2]
        if "/manifests/" in request.path and (manifest := self.manifests.get(name)):
            digest = {"Content-Type": manifest.media_type, "Docker-Content-Digest": manifest.digest}
            return Reply(200, manifest.data, digest)
        if "/blobs/" in request.path and (data := self.blobs.get(name)) is not None:
            return self._ranged(data, request.headers.get("range"))
        return Reply(404, encoded({"errors": [{"code": "NOT_HERE", "message": f"no {name}"}]}))

    def _ranged(self, data: bytes, wanted: str | None) -> Reply:
        if wanted is None or not self.ranges:
            return Reply(200, data)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(data):
            return Reply(416)
        extent = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return Reply(206, data[start:], {"Content-Range": extent})


@asynccontextmanager
async def scripted_registry(tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedRegistry]:
    registry = ScriptedRegistry()
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        try:
            while not writer.is_closing() and (request := await _read(reader)):
                await registry.answer(request, writer)
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=tls)
    registry.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield registry
    finally:
        server.close()
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    pairs = (line.partition(":") for line in lines)
    return Request(method, path, query, {name.lower(): value.strip() for name, _, value in pairs})


def _script(step: Script | Reply) -> Script:
    if not isinstance(step, Reply):
        return step
    reply = step

    async def send(exchange: Exchange) -> None:
        await exchange.send(reply)

    return send


def broken_off(after: int, *, reset: bool = False) -> Script:
    """Announce everything, send `after` bytes, close."""

    async def script(exchange: Exchange) -> None:
        exchange.writer.write(exchange.proper.head() + exchange.proper.body[:after])
        await exchange.writer.drain()
        exchange.reset() if reset else exchange.writer.close()

    return script


def altered(change: Callable[[bytes], bytes]) -> Script:
    """A proper answer with another body."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(replace(exchange.proper, body=change(exchange.proper.body)))

    return script


def stalled(after: int) -> Script:
    """Send so many bytes, then nothing more until the other side gives up."""

    async def script(exchange: Exchange) -> None:
        exchange.writer.write(exchange.proper.head() + exchange.proper.body[:after])
        await exchange.writer.drain()
        await exchange.writer.wait_closed()

    return script


def trickled(interval: float) -> Script:
    """Send everything, a byte at a time."""

    async def script(exchange: Exchange) -> None:
        exchange.writer.write(exchange.proper.head())
        for byte in exchange.proper.body:
            exchange.writer.write(bytes([byte]))
            await exchange.writer.drain()
            await asyncio.sleep(interval)

    return script


def chunked(change: Callable[[bytes], bytes] = bytes) -> Script:
    """A body without a length."""

    async def script(exchange: Exchange) -> None:
        body = change(exchange.proper.body)
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        exchange.writer.write(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        await exchange.writer.drain()

    return script
