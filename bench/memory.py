"""Memory of our own processes, idle and after mixed load, and the time to be ready."""

import json
import time
from collections.abc import Callable
from uuid import uuid4

from bench import fill, usage
from bench.load import Load, send
from bench.system import System, running
from bench.table import Figure

# PostgreSQL's memory is its settings, that of the others their authors' affair; everything else in the tree is ours.
_NOT_OURS = {"postgres", "envoy", "weed", "docker-registry"}


def measure(seconds: float = 600.0) -> list[Figure]:
    started = time.perf_counter()
    with running() as system:
        ready = time.perf_counter() - started
        organization = system.organization("memory")
        key = system.key_of(organization)
        fill.load(system.database_url("snapshots"), {organization: 100})
        time.sleep(2)
        idle, others = _ours(system), _sizes(system, lambda name: name in _NOT_OURS)
        _mix(system, key, min(60.0, seconds / 4))
        warm = _ours(system)
        _mix(system, key, seconds)
        loaded = _ours(system)
    parts = _said(idle)
    grown = sum(loaded.values()) - sum(warm.values())
    return [
        Figure("first boot to all healthy", ready, "s wall", 10),
        Figure("PSS idle", sum(idle.values()), "MB", 500, note=parts),
        Figure("PSS idle of what runs along", sum(others.values()), "MB", note=_said(others)),
        Figure("PSS warm", sum(warm.values()), "MB"),
        # Allocators and caches breathe; a leak would go on.
        Figure(f"PSS grown in {seconds:.0f} s of mixed load", grown, "MB", 15),
    ]


def _said(sizes: dict[str, float]) -> str:
    return " ".join(f"{name} {size:.0f}" for name, size in sizes.items())


def _ours(system: System) -> dict[str, float]:
    return _sizes(system, lambda name: name not in _NOT_OURS)


def _sizes(system: System, wanted: Callable[[str], bool]) -> dict[str, float]:
    sizes: dict[str, float] = {}
    for pid in usage.tree(system.root()):
        name = usage.command(pid)
        if wanted(name):
            sizes[name] = sizes.get(name, 0.0) + usage.pss_megabytes(pid)
    return sizes


def _mix(system: System, key: str, seconds: float) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        body = json.dumps({"name": f"{uuid4().hex}-{{n}}", "permissions": []})
        for load in (
            Load(url=system.url, path="/snapshots", headers=headers, requests=1000),
            Load(url=system.url, path="/snapshots/base-0000010", headers=headers, requests=2000),
            Load(
                url=system.url,
                path="/snapshots/none-{n}",
                headers=headers,
                requests=500,
                expect=404,
            ),
            Load(
                url=system.url,
                path="/api-keys",
                method="POST",
                body=body,
                headers=headers,
                requests=200,
                expect=201,
            ),
        ):
            send(load)
