"""Any process may be killed at any moment: the supervisor mends it and nothing that was answered is lost."""

import os
import signal
import time
from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest

from bench import usage
from bench.system import System
from tests.images import Image
from tests.registry import Registry

POLL_SECONDS = 0.05
PROCESSES = [
    "services.auth serve",
    "services.orgs serve",
    "services.snapshots serve",
    "services.snapshots work",
    "gateway serve",
    "postgres",
]


def until(true: Callable[[], bool], what: str, seconds: float = 40) -> None:
    """Ask again and again, as a client would, until it is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(POLL_SECONDS)


def answers(system: System, path: str, status: int = 200) -> bool:
    try:
        return system.client.get(path).status_code == status
    except httpx.HTTPError:
        return False


def state(system: System, path: str) -> str | None:
    """Return what one answer says, None where there was none: the next may say otherwise."""
    try:
        answer = system.client.get(path)
    except httpx.HTTPError:
        return None
    return answer.json()["state"] if answer.status_code == 200 else None


def postmaster(system: System) -> int:
    servers = [p for p in usage.tree(system.root()) if usage.command(p) == "postgres"]
    parents = {p: usage.parent(p) for p in servers}
    return next(p for p in servers if parents[p] not in servers)


@pytest.mark.parametrize("command", PROCESSES)
def test_a_killed_process_comes_back(
    system: System, registry: Registry, small_image: Image, command: str
) -> None:
    name = f"crash-{uuid4().hex[:8]}"
    body = {"name": name, "imageName": f"{registry.host}/small:1"}
    made = system.client.post("/snapshots", json=body)
    assert made.status_code == 200, made.text
    pid = postmaster(system) if command == "postgres" else system.pid_of(command)
    os.kill(pid, signal.SIGKILL)
    path = f"/snapshots/{made.json()['id']}"
    until(
        lambda: state(system, path) == "active",
        f"{name} active after {command} was killed",
    )
    until(lambda: pid not in usage.tree(system.root()), f"{command} is gone")
    until(lambda: answers(system, "/organizations"), "organizations")
    # A write goes through every context again.
    key = {"name": f"k{uuid4().hex}", "permissions": []}
    until(lambda: _status(system, "POST", "/api-keys", json=key) in (201, 409), "a key is made")
    until(lambda: _status(system, "DELETE", path) in (200, 404), f"{name} is deleted")
    until(lambda: answers(system, path, 404), f"{name} gone")
    assert "rows, blobs and usage agree" in system.ratoon("doctor", "--every-byte")


def _status(system: System, method: str, path: str, **options: object) -> int:
    """Return the status of one try, 0 when there was no answer."""
    try:
        return system.client.request(method, path, **options).status_code  # type: ignore[arg-type]  # httpx's own options
    except httpx.HTTPError:
        return 0
