"""From the answer to the deletion of a key until a second gateway refuses it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from bench import usage
from bench.system import System, free_port, running
from bench.table import Figure


def measure(rounds: int = 200) -> list[Figure]:
    with running() as system, second_gateway(system) as url:
        took = sorted(_round(system, url, n) for n in range(rounds))
        return [
            Figure("revocation, p50", took[len(took) // 2], "ms"),
            Figure("revocation, p99", took[int(len(took) * 0.99)], "ms", 100),
            Figure("revocation, max", took[-1], "ms"),
        ]


def _round(system: System, url: str, number: int) -> float:
    made = system.client.post("/api-keys", json={"name": f"r{number}", "permissions": []})
    made.raise_for_status()
    headers = {"Authorization": f"Bearer {made.json()['value']}"}
    with httpx.Client(base_url=url, headers=headers) as other:
        for _ in range(2):
            other.get("/api-keys/current").raise_for_status()
        system.client.delete(f"/api-keys/r{number}").raise_for_status()
        deleted = time.perf_counter()
        while other.get("/api-keys/current").status_code == 200:
            if time.perf_counter() - deleted > 35:
                raise RuntimeError("a deleted key was never refused")
        return (time.perf_counter() - deleted) * 1000


@contextmanager
def second_gateway(system: System) -> Iterator[str]:
    """Run one more gateway beside the system's own, as it is told, on a port of its own."""
    told = usage.environment(system.pid_of("gateway serve"))
    port = free_port()
    told |= {"GATEWAY_LISTEN": f"127.0.0.1:{port}", "GATEWAY_METRICS_LISTEN": ""}
    told.pop("NOTIFY_SOCKET", None)
    command = [sys.executable, "-m", "gateway", "serve"]
    url = f"http://127.0.0.1:{port}/api"
    with subprocess.Popen(
        command, env={**os.environ, **told}, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _await(url)
            yield url
        finally:
            process.terminate()


def _await(url: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/health").raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise RuntimeError("the second gateway did not come up")
