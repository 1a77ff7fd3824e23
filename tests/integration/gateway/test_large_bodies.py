"""A body that is too large, sent by the usual clients over TCP: each hears the refusal, none a reset connection."""

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import requests
import urllib3

from gateway import parting
from gateway.server import serve
from tests.gateway_fakes import KEY
from tests.integration.deploy.harness import free_port
from tests.integration.gateway.conftest import Served

BODY = b" " * (24 << 20)
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
Answer = tuple[int, str]


@pytest.fixture
async def port(served: Served) -> AsyncIterator[int]:
    port, stop = free_port(), asyncio.Event()
    task = asyncio.create_task(serve(served[1], f"127.0.0.1:{port}", stop))
    async with asyncio.timeout(10):
        while not await _connects(port):
            await asyncio.sleep(0)
    yield port
    stop.set()
    await asyncio.wait_for(task, 20)


async def _connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/api/snapshots"


def _with_requests(port: int) -> Answer:
    answer = requests.post(_url(port), data=BODY, headers=HEADERS, timeout=30)
    return answer.status_code, answer.json()["code"]


def _with_urllib3(port: int) -> Answer:
    answer = urllib3.request("POST", _url(port), body=BODY, headers=HEADERS, timeout=30)
    return answer.status, answer.json()["code"]


def _with_httpx(port: int) -> Answer:
    answer = httpx.post(_url(port), content=BODY, headers=HEADERS, timeout=30)
    return answer.status_code, answer.json()["code"]


def _in_chunks(port: int) -> Answer:
    chunks = (BODY[i : i + 65_536] for i in range(0, len(BODY), 65_536))
    answer = httpx.post(_url(port), content=chunks, headers=HEADERS, timeout=30)
    return answer.status_code, answer.json()["code"]


def _with_http_client(port: int) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/api/snapshots", BODY, HEADERS)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())["code"]


@pytest.mark.parametrize(
    "post", [_with_requests, _with_urllib3, _with_httpx, _in_chunks, _with_http_client]
)
async def test_a_client_that_sends_all_before_it_listens_hears_the_refusal(
    port: int, post: Callable[[int], Answer]
) -> None:
    assert await asyncio.to_thread(post, port) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"])
async def test_curl_hears_the_refusal(port: int, expect: str) -> None:
    headers = [word for name, value in HEADERS.items() for word in ("-H", f"{name}: {value}")]
    command = ["curl", "-sS", *headers, "-H", expect, "--data-binary", "@-", _url(port)]
    curl = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(curl.communicate(BODY), 30)
    assert (curl.returncode, json.loads(said)["code"]) == (0, "BODY_TOO_LARGE")


async def test_whoever_goes_on_for_ever_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parting, "MOST_BYTES", 4 << 20)

    def send_for_ever() -> int:
        head = f"POST /api/snapshots HTTP/1.1\r\nHost: g\r\nContent-Length: {1 << 40}\r\n"
        lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(f"{head}{lines}\r\n".encode())
            sent = 0
            while sent < 1 << 30:
                try:
                    sent += connection.send(BODY[: 1 << 20])
                except OSError:
                    break
            return sent

    assert await asyncio.to_thread(send_for_ever) < 64 << 20


async def test_whoever_is_quiet_is_let_go(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parting, "QUIET_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    head = f"POST /api/snapshots HTTP/1.1\r\nHost: g\r\nContent-Length: {2 << 20}\r\n{lines}\r\n"
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 413")
    writer.close()
