"""A wire to a registry that can be slow, counts what is asked for, and can be held."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_REQUEST = re.compile(rb"^(GET|HEAD) (\S+) HTTP/1\.1\r\n", re.MULTILINE)
_CHUNK = 32 << 10


@dataclass
class Wire:
    """`pace`: bytes a second on each connection, 0: as they come. `stop_at`: only answers to what it names are held, if it
    names something.
    """

    host: str = ""
    pace: float = 0.0
    stop_at: str = ""
    carried: int = 0
    asked: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    # Connections wait here while they are held.
    held: asyncio.Event = field(default_factory=asyncio.Event)

    def blobs_asked(self) -> list[str]:
        return [path.rpartition("/")[2] for path in self.asked if "/blobs/" in path]

    async def _requests(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, asked: list[str]
    ) -> None:
        while data := await source.read(_CHUNK):
            asked += (paths := [path.decode() for _, path in _REQUEST.findall(data)])
            self.asked += paths
            sink.write(data)
            await sink.drain()

    async def _answers(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, asked: list[str]
    ) -> None:
        while data := await source.read(_CHUNK):
            if not self.open.is_set() and self.stop_at in asked[-1]:
                self.held.set()
                await self.open.wait()
            if self.pace:
                await asyncio.sleep(len(data) / self.pace)
            self.carried += len(data)
            sink.write(data)
            await sink.drain()


@asynccontextmanager
async def wire_to(host: str) -> AsyncIterator[Wire]:
    wire = Wire()
    wire.open.set()
    running: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        name, _, port = host.rpartition(":")
        try:
            there, back = await asyncio.open_connection(name, int(port))
            asked: list[str] = []
            try:
                ways = [
                    asyncio.ensure_future(way)
                    for way in (
                        wire._requests(reader, back, asked),
                        wire._answers(there, writer, asked),
                    )
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
            finally:
                back.close()
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    wire.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        for task in set(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
