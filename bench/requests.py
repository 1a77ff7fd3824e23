"""CPU of whole requests: gateway, services and PostgreSQL together, 16 connections, median of the runs."""

import json
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench import fill, usage
from bench.load import Load, send
from bench.system import System, running
from bench.table import Figure
from bench.yardstick import slowness

# What the published implementation needs for the same, CPU ms per request.
REFERENCE = {
    "list of 100 snapshots": 5.6,
    "get by id": 2.8,
    "get by name": 2.8,
    "list organizations": 1.6,
    "create API key": 4.0,
    "create snapshot": 6.9,
    "current key": 0.5,
}
TARGETS = {
    "list of 100 snapshots": 3.0,
    "get by id": 1.2,
    "get by name": 1.2,
    "list organizations": 1.0,
    "create API key": 2.0,
    "create snapshot": 3.2,
    "current key": 0.45,
}
# Nobody listens there: the pull is one row that waits, whatever the number of snapshots that want it.
_NOWHERE = "127.0.0.1:9/nothing:1"


def measure(runs: int = 3, requests: int = 3000) -> list[Figure]:
    with running(SNAPSHOTS_INSECURE_REGISTRIES="127.0.0.1:9") as system:
        return _measure(_Meter(system), system, runs, requests)


def _measure(meter: "_Meter", system: System, runs: int, requests: int) -> list[Figure]:
    organization = system.organization("bench")
    key = system.key_of(organization)
    fill.load(system.database_url("snapshots"), {organization: 100})
    headers = {"Authorization": f"Bearer {key}"}
    listed = system.client.get("/snapshots", headers=headers).json()["items"]
    ids, names = [s["id"] for s in listed], [s["name"] for s in listed]
    get: dict[str, Any] = {"url": system.url, "headers": headers, "requests": requests}
    loads = {
        "current key": Load(path="/api-keys/current", **get),
        "list organizations": Load(path="/organizations", **get),
        "get by id": Load(path="/snapshots/{i}", spread=tuple(ids), **get),
        "get by name": Load(path="/snapshots/{i}", spread=tuple(names), **get),
        "list of 100 snapshots": Load(path="/snapshots", **get),
    }
    figures: list[Figure] = []
    for name, load in loads.items():
        figures += _figures(meter, name, load, runs)
    figures += _sorts(meter, {**get, "requests": requests // 2}, runs)
    key_body = json.dumps({"name": "k{n}", "permissions": ["write:snapshots"]})
    post = {**get, "method": "POST", "requests": max(requests // 2, 100)}
    figures += _figures(
        meter, "create API key", Load(path="/api-keys", body=key_body, expect=201, **post), runs
    )
    body = json.dumps({"name": "made-{n}", "imageName": _NOWHERE})
    figures += _figures(meter, "create snapshot", Load(path="/snapshots", body=body, **post), runs)
    return figures


def _sorts(meter: "_Meter", get: dict[str, Any], runs: int) -> list[Figure]:
    """The target of the listing holds for every sort and order; show the dearest."""
    dearest = Figure("list of 100, dearest sort", 0.0, "ms CPU", TARGETS["list of 100 snapshots"])
    for sort in ("name", "state", "lastUsedAt", "createdAt"):
        for order in ("asc", "desc"):
            load = Load(path=f"/snapshots?sort={sort}&order={order}", **get)
            cost = meter.cost(load, runs)
            if cost.scaled > (dearest.scaled or 0.0):
                dearest = cost.figure(dearest.name, dearest.target, f"{sort} {order}")
    return [dearest]


def _figures(meter: "_Meter", name: str, load: Load, runs: int) -> list[Figure]:
    cost = meter.cost(load, runs)
    note = f"{cost.parts}; reference {REFERENCE[name]:g}"
    return [cost.figure(name, TARGETS[name], note)]


@dataclass(frozen=True)
class _Cost:
    """CPU ms per request, medians; `parts` of the last run."""

    measured: float
    scaled: float
    parts: str

    def figure(self, name: str, target: float | None, note: str) -> Figure:
        return Figure(name, self.measured, "ms CPU", target, note=note, scaled=self.scaled)


class _Meter:
    """Measures loads, the yardstick before and after every run."""

    def __init__(self, system: System) -> None:
        self._root = system.root()

    def cost(self, load: Load, runs: int) -> _Cost:
        """Run the load so often, after a quarter of it to warm up."""
        once = Load(**{f: getattr(load, f) for f in load.__struct_fields__})
        once.requests = max(load.requests // 4, 50)
        send(once)
        first = load.first + once.requests
        measured, scaled, parts = [], [], ""
        for _ in range(runs):
            once.first, once.requests = first, load.requests
            first += load.requests
            slow = slowness()
            before, by_command = usage.cpu_seconds(self._root), usage.by_command(self._root)
            report = send(once)
            spent = (usage.cpu_seconds(self._root) - before) * 1000 / load.requests
            parts = _parts(by_command, usage.by_command(self._root), load.requests)
            parts += f"; {load.requests / report.seconds:.0f}/s"
            slow = (slow + slowness()) / 2
            measured.append(spent)
            scaled.append(spent / slow)
        load.first = first
        return _Cost(median(measured), median(scaled), parts)


def _parts(before: dict[str, float], after: dict[str, float], requests: int) -> str:
    short = {name: name.removeprefix("services.").removesuffix(" serve") for name in after}
    spent = {short[n]: (after[n] - before.get(n, 0.0)) * 1000 / requests for n in after}
    return " ".join(f"{n} {ms:.2f}" for n, ms in spent.items() if ms >= 0.01)
