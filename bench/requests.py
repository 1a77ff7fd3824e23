"""CPU of whole requests: gateway, services and PostgreSQL together, 16 connections, median of the runs."""

import json
from typing import Any

from bench import fill
from bench.load import Load
from bench.meter import Meter
from bench.system import System, running
from bench.table import Figure

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
        return _measure(Meter(system), system, runs, requests)


def _measure(meter: Meter, system: System, runs: int, requests: int) -> list[Figure]:
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


def _sorts(meter: Meter, get: dict[str, Any], runs: int) -> list[Figure]:
    """The target of the listing holds for every sort and order; show the dearest."""
    dearest = Figure("list of 100, dearest sort", 0.0, "ms CPU", TARGETS["list of 100 snapshots"])
    for sort in ("name", "state", "lastUsedAt", "createdAt"):
        for order in ("asc", "desc"):
            load = Load(path=f"/snapshots?sort={sort}&order={order}", **get)
            cost = meter.cost(load, runs)
            if cost.scaled > (dearest.scaled or 0.0):
                dearest = cost.figure(dearest.name, dearest.target, f"{sort} {order}")
    return [dearest]


def _figures(meter: Meter, name: str, load: Load, runs: int) -> list[Figure]:
    cost = meter.cost(load, runs)
    note = f"{cost.parts}; reference {REFERENCE[name]:g}"
    return [cost.figure(name, TARGETS[name], note)]
