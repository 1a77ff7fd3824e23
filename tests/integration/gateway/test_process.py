"""python -m gateway serve, as a supervisor runs it."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.gateway_fakes import KEY, Fakes


@asynccontextmanager
async def process(fakes: Fakes, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the gateway and yield when it says that it is ready."""
    said = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    said.bind(str(folder / "notify"))
    said.setblocking(False)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "NOTIFY_SOCKET": str(folder / "notify"),
        "GATEWAY_LISTEN": f"unix:{folder}/http",
        "GATEWAY_IDENTITY_FILE": str(fakes.keyring.folder / "identity-gateway.pem"),
        **{f"GATEWAY_{n.upper()}_TARGET": fakes.target(n) for n in ("auth", "orgs", "snapshots")},
    }
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recv(said, 100), 30) == b"READY=1"
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()
        said.close()


async def test_it_serves_reports_and_ends_in_order(fakes: Fakes, tmp_path: Path) -> None:
    async with process(fakes, tmp_path) as started:
        await fakes.auth.watched()
        transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "http"))
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://g/api", headers=headers
        ) as client:
            assert (await client.get("/snapshots")).status_code == 200
            assert (await client.get("/health")).status_code == 200
        started.send_signal(signal.SIGTERM)
        _, logged = await asyncio.wait_for(started.communicate(), 30)
        assert started.returncode == 0
    # What was noted of the key is reported before the end, and nothing is logged that was no event.
    assert len(fakes.auth.uses) == 1
    assert [line for line in logged.decode().splitlines() if '"serving"' not in line] == []


async def test_it_takes_the_place_of_one_that_was_killed(fakes: Fakes, tmp_path: Path) -> None:
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
    async with process(fakes, tmp_path / "first") as started:
        started.kill()
        await started.wait()
    (tmp_path / "first" / "http").rename(tmp_path / "second" / "http")
    async with process(fakes, tmp_path / "second") as started:
        assert started.returncode is None
