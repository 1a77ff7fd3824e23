"""One more gateway beside a system's own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from bench import usage
from bench.system import System, free_port


@contextmanager
def second_gateway(system: System, **changes: str) -> Iterator[str]:
    """Run one more gateway beside the system's own, as it is told, on a port of its own."""
    told = usage.environment(system.pid_of("gateway serve"))
    port = free_port()
    told |= {"GATEWAY_LISTEN": f"127.0.0.1:{port}", "GATEWAY_METRICS_LISTEN": "", **changes}
    told.pop("NOTIFY_SOCKET", None)
    command = [sys.executable, "-m", "gateway", "serve"]
    url = f"http://127.0.0.1:{port}/api"
    with subprocess.Popen(
        command, env={**os.environ, **told}, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _await_health(url)
            yield url
        finally:
            process.terminate()


def _await_health(url: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/health").raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise RuntimeError("the second gateway did not come up")
