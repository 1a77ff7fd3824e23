"""A closed-loop HTTP load: so many connections, each sending its next request when the last was answered.

Run as a process of its own (`python -m bench.load`, a `Load` as JSON on stdin, a `Report` as JSON on stdout), so that
its CPU is not counted with the system's.
"""

import asyncio
import sys
import time
from urllib.parse import urlsplit

import httptools
import msgspec
import uvloop


class Load(msgspec.Struct, kw_only=True):
    """What to send. `{n}` in path and body is a number that no two requests share; `{i}` counts through `spread`."""

    url: str
    method: str = "GET"
    path: str
    body: str = ""
    headers: dict[str, str] = {}
    connections: int = 16
    requests: int = 1000
    seconds: float = 60.0
    first: int = 0
    spread: tuple[str, ...] = ("",)
    expect: int = 200


class Report(msgspec.Struct):
    """What came back. Latencies in seconds, ascending."""

    seconds: float
    statuses: dict[int, int]
    latencies: list[float]

    def quantile(self, q: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * q))]


class _Run:
    """What the connections of one load share."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.sent = 0
        self.latencies: list[float] = []
        self.statuses: dict[int, int] = {}
        self.open = load.connections
        self.done = asyncio.Event()
        self.deadline = time.perf_counter() + load.seconds
        base = urlsplit(load.url)
        lines = {"Host": base.netloc, **load.headers}
        if load.body:
            lines["Content-Type"] = "application/json"
        self._head = "".join(f"{k}: {v}\r\n" for k, v in lines.items())
        self._prefix = base.path.rstrip("/")

    def next(self) -> bytes | None:
        if self.sent >= self.load.requests or time.perf_counter() > self.deadline:
            return None
        n, self.sent = self.load.first + self.sent, self.sent + 1
        item = self.load.spread[n % len(self.load.spread)]
        path = self.load.path.replace("{n}", str(n)).replace("{i}", item)
        body = self.load.body.replace("{n}", str(n)).replace("{i}", item).encode()
        length = f"Content-Length: {len(body)}\r\n" if self.load.method != "GET" else ""
        head = f"{self.load.method} {self._prefix}{path} HTTP/1.1\r\n{self._head}{length}\r\n"
        return head.encode() + body

    def answered(self, status: int, latency: float) -> None:
        self.latencies.append(latency)
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def closed(self) -> None:
        self.open -= 1
        if self.open == 0:
            self.done.set()


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._started = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._run.answered(status, time.perf_counter() - self._started)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._run.answered(0, time.perf_counter() - self._started)
        self._run.closed()

    def _send(self) -> None:
        assert self._transport is not None
        request = self._run.next()
        if request is None:
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._started = time.perf_counter()
        self._transport.write(request)


async def run(load: Load) -> Report:
    """Send the load and report."""
    shared = _Run(load)
    target = urlsplit(load.url)
    host, port = target.hostname or "127.0.0.1", target.port or 80
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    for _ in range(load.connections):
        await loop.create_connection(lambda: _Connection(shared), host, port)
    await shared.done.wait()
    took = time.perf_counter() - started
    return Report(took, shared.statuses, sorted(shared.latencies))


def send(load: Load) -> Report:
    """Send the load from a process of its own; every answer must have the expected status."""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=msgspec.json.encode(load),
        stdout=subprocess.PIPE,
        check=True,
    )
    report = msgspec.json.decode(done.stdout, type=Report)
    wrong = {s: n for s, n in report.statuses.items() if s != load.expect}
    if wrong:
        raise RuntimeError(f"{load.method} {load.path}: wanted {load.expect}, got {wrong}")
    return report


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(given))))
