"""Wall time of listings in a table of a million, for an organization of a hundred and for one that has them all."""

import time
from statistics import median
from uuid import uuid4

import httpx

from bench import fill
from bench.system import System, running
from bench.table import Figure


def measure(snapshots: int = 1_000_000, runs: int = 15) -> list[Figure]:
    with running() as system:
        small, large = system.organization("small"), system.organization("large")
        keys = {"100": system.key_of(small), "all": system.key_of(large)}
        others = {str(uuid4()): 100 for _ in range(1000)}
        fill.load(system.database_url("snapshots"), {small: 100, large: snapshots, **others})
        figures = _of_100(system, keys["100"], runs) + _of_all(system, keys["all"], snapshots, runs)
        return figures + _freshly_updated(system, large, keys["all"], snapshots, runs)


def _of_100(system: System, key: str, runs: int) -> list[Figure]:
    timed = _Timed(system, key, runs)
    return [
        timed("org of 100: first page", "/snapshots", 5, total=100),
        timed("org of 100: middle page", "/snapshots?limit=20&page=3", 5, total=100),
        timed("org of 100: last page", "/snapshots?limit=20&page=5", 5, total=100),
        timed("org of 100: name filter", "/snapshots?name=-000", 5, total=100),
        timed("org of 100: get", "/snapshots/base-0000010", 5),
    ]


def _of_all(system: System, key: str, count: int, runs: int) -> list[Figure]:
    timed = _Timed(system, key, runs)
    last = count // 100
    figures = [timed("org of all: get", "/snapshots/base-0500000", 10)]
    for sort in ("lastUsedAt", "createdAt", "name", "state"):
        for order in ("desc", "asc"):
            query = f"sort={sort}&order={order}"
            label = f"org of all, {sort} {order}:"
            figures += [
                timed(f"{label} first page", f"/snapshots?{query}", 10, total=count),
                timed(f"{label} last page", f"/snapshots?{query}&page={last}", 10, total=count),
                timed(
                    f"{label} middle page", f"/snapshots?{query}&page={last // 2}", 100, total=count
                ),
            ]
    return [
        *figures,
        timed("org of all: name filter, 1 match", "/snapshots?name=base-0500000", 25, total=1),
        timed("org of all: name filter, 1,000 matches", "/snapshots?name=-0500", 25, total=1000),
        timed("org of all: name filter, no match", "/snapshots?name=zzzzz", 25, total=0),
        timed("org of all: name filter, ~20,000 matches", "/snapshots?name=-05", 100, least=10_000),
    ]


def _freshly_updated(
    system: System, organization: str, key: str, count: int, runs: int
) -> list[Figure]:
    """A tenth of the rows changed and not yet vacuumed: what a middle page costs then. For information."""
    system.sql(
        "snapshots",
        "UPDATE snapshots SET last_used_at = last_used_at + interval '1 second' WHERE organization_id = $1"
        " AND right(name, 1) = '7'",
        organization,
    )
    timed = _Timed(system, key, max(3, runs // 5))
    middle = f"/snapshots?page={count // 200}"
    figures = [timed("org of all, a tenth just updated: middle page", middle, None)]
    system.sql("snapshots", "VACUUM snapshots")
    return [*figures, timed("the same after vacuum: middle page", middle, 100)]


class _Timed:
    """Times one request again and again and takes the median."""

    def __init__(self, system: System, key: str, runs: int) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._client = httpx.Client(base_url=system.url, headers=headers, timeout=60)
        self._runs = runs

    def __call__(
        self, name: str, path: str, target: float | None, total: int | None = None, least: int = 0
    ) -> Figure:
        took = []
        for _ in range(self._runs + 2):
            started = time.perf_counter()
            answer = self._client.get(path)
            took.append((time.perf_counter() - started) * 1000)
            answer.raise_for_status()
        counted = answer.json().get("total", 0)
        if (total is not None and counted != total) or counted < least:
            raise RuntimeError(f"{path}: total {counted}, expected {total or least}")
        measured = took[2:]
        return Figure(name, median(measured), "ms wall", target, note=f"max {max(measured):.1f}")
