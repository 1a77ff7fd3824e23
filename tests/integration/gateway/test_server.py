"""The gateway on real sockets: bodies that do not end, clients that go away, the end of the process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway import call
from gateway.server import serve
from tests.gateway_fakes import ACCOUNT, KEY, ORG, Fakes
from tests.integration.gateway.conftest import Served

AUTHORIZATION = f"Authorization: Bearer {KEY}\r\n"


@pytest.fixture
async def path(served: Served, tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "http"
    async with listening(served, path):
        yield path


@asynccontextmanager
async def listening(served: Served, path: Path) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(serve(served[1], f"unix:{path}", stop))
    async with asyncio.timeout(10):
        while not await _connects(path):
            await asyncio.sleep(0)
    yield stop
    stop.set()
    await asyncio.wait_for(task, 20)


async def _connects(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


def client_at(path: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=str(path)),
        base_url="http://gateway/api",
        headers={"authorization": f"Bearer {KEY}"},
    )


async def _raw(path: Path, *parts: bytes) -> bytes:
    """Send parts and return the answer up to its end or the end of its head."""
    reader, writer = await asyncio.open_unix_connection(path)
    for part in parts:
        writer.write(part)
        await writer.drain()
    async with asyncio.timeout(10):
        answer = await reader.readuntil(b"}")
    writer.close()
    return answer


def _post(*headers: str) -> bytes:
    lines = "".join(f"{h}\r\n" for h in headers)
    return f"POST /api/snapshots HTTP/1.1\r\nHost: g\r\n{AUTHORIZATION}{lines}\r\n".encode()


async def test_the_socket_is_its_owners(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    async with client_at(path) as client:
        assert (await client.get("/snapshots")).status_code == 200


async def test_a_declared_size_is_refused_before_a_byte(path: Path, fakes: Fakes) -> None:
    for size in ("1048577", "9" * 19):
        answer = await _raw(path, _post(f"Content-Length: {size}"))
        assert answer.startswith(b"HTTP/1.1 413"), answer
        assert b'"code":"BODY_TOO_LARGE"' in answer
    assert fakes.snapshots.calls.names() == []


async def test_a_size_that_is_not_declared_is_refused_when_it_is_passed(path: Path) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = await _raw(path, _post("Transfer-Encoding: chunked"), *[chunk] * 17)
    assert answer.startswith(b"HTTP/1.1 413"), answer


async def test_a_body_that_stops_half_way_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "BODY_SECONDS", 0.1)
    answer = await _raw(path, _post("Content-Length: 100"), b'{"name"')
    assert answer.startswith(b"HTTP/1.1 408"), answer
    assert b'"code":"BODY_TIMEOUT"' in answer


async def test_an_upgrade_is_answered_as_what_it_is(path: Path) -> None:
    request = (
        f"GET /api/snapshots HTTP/1.1\r\nHost: g\r\n{AUTHORIZATION}Connection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    answer = await _raw(path, request.encode())
    assert answer.startswith(b"HTTP/1.1 200"), answer


@pytest.mark.parametrize("name", ["GetSnapshot", "ListSnapshots", "CreateSnapshot"])
async def test_when_the_client_goes_the_call_is_cancelled(
    path: Path, fakes: Fakes, name: str
) -> None:
    fakes.snapshots.calls.holds[name] = asyncio.Event()
    requests = {
        "GetSnapshot": ("GET", "/snapshots/base", None),
        "ListSnapshots": ("GET", "/snapshots", None),
        "CreateSnapshot": ("POST", "/snapshots", {"name": "a"}),
    }
    method, url, body = requests[name]
    async with client_at(path) as client:
        task = asyncio.create_task(client.request(method, url, json=body))
        await fakes.snapshots.calls.until(lambda calls: calls.running == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await fakes.snapshots.calls.until(lambda calls: calls.cancelled == 1)
    # The turn it held is free again, and the gateway goes on.
    fakes.snapshots.calls.holds.clear()
    async with client_at(path) as client:
        assert (await client.request(method, url, json=body)).status_code == 200


async def test_a_log_that_nobody_reads_any_more_is_not_followed(path: Path, fakes: Fakes) -> None:
    fakes.snapshots.logs["base"] = [b"STEP 1\n"]
    fakes.snapshots.calls.holds["follow"] = asyncio.Event()
    async with client_at(path) as client:
        url = "/snapshots/base/build-logs?follow=true"
        async with client.stream("GET", url) as answer:
            assert await anext(answer.aiter_bytes()) == b"STEP 1\n"
            await fakes.snapshots.calls.until(lambda calls: calls.running == 1)
    await fakes.snapshots.calls.until(lambda calls: calls.cancelled == 1)


async def test_an_export_that_nobody_reads_any_more_ends(path: Path, fakes: Fakes) -> None:
    fakes.audit.calls.holds["ExportAuditRecords went on"] = asyncio.Event()
    async with client_at(path) as client:
        client.headers["authorization"] = f"Bearer {ACCOUNT}"
        async with client.stream("GET", f"/audit/organizations/{ORG}/export") as answer:
            assert b"createdAt" in await anext(answer.aiter_bytes())
            await fakes.audit.calls.until(lambda calls: calls.running == 1)
    await fakes.audit.calls.until(lambda calls: calls.cancelled == 1)


async def test_who_waits_for_a_turn_may_leave(path: Path, fakes: Fakes) -> None:
    hold = fakes.snapshots.calls.holds["ListSnapshots"] = asyncio.Event()
    async with client_at(path) as client:
        held = [asyncio.create_task(client.get("/snapshots")) for _ in range(4)]
        await fakes.snapshots.calls.until(lambda calls: calls.running == 4)
        async with client_at(path) as other:
            leaving = asyncio.create_task(other.get("/snapshots"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(leaving, 0.2)
        hold.set()
        assert {(await task).status_code for task in held} == {200}
        assert (await client.get("/snapshots")).status_code == 200
    assert fakes.snapshots.calls.names().count("ListSnapshots") == 5


async def test_what_runs_is_finished_at_the_end(
    served: Served, fakes: Fakes, tmp_path: Path
) -> None:
    hold = fakes.snapshots.calls.holds["GetSnapshot"] = asyncio.Event()
    async with listening(served, tmp_path / "end") as stop, client_at(tmp_path / "end") as client:
        task = asyncio.create_task(client.get("/snapshots/base"))
        await fakes.snapshots.calls.until(lambda calls: calls.running == 1)
        stop.set()
        hold.set()
        assert (await task).status_code == 200
