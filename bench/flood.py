"""One tenant floods with listings; what another tenant's gets suffer."""

import threading
import time

import httpx

from bench import fill
from bench.load import Load, send
from bench.system import System, running
from bench.table import Figure

_GETS = 1500


def measure(connections: int = 64) -> list[Figure]:
    with running() as system:
        noisy, quiet = system.organization("noisy"), system.organization("quiet")
        fill.load(system.database_url("snapshots"), {noisy: 100, quiet: 100})
        mine = system.key_of(quiet)
        calm = _gets(system, mine)
        flood = Load(
            url=system.url,
            path="/snapshots",
            headers={"Authorization": f"Bearer {system.key_of(noisy)}"},
            connections=connections,
            requests=10_000_000,
            seconds=25,
        )
        running_flood = threading.Thread(target=send, args=(flood,))
        running_flood.start()
        time.sleep(2)
        loud = _gets(system, mine)
        running_flood.join()
    p99 = int(_GETS * 0.99)
    return [
        Figure("get p99, quiet", calm[p99], "ms wall"),
        Figure(f"get p99, {connections} connections list elsewhere", loud[p99], "ms wall"),
        Figure("get p99, flooded / quiet", loud[p99] / calm[p99], "×", 5),
    ]


def _gets(system: System, key: str) -> list[float]:
    took = []
    with httpx.Client(base_url=system.url, headers={"Authorization": f"Bearer {key}"}) as client:
        for n in range(_GETS + 100):
            started = time.perf_counter()
            client.get(f"/snapshots/base-{n % 10 * 10:07d}").raise_for_status()
            took.append((time.perf_counter() - started) * 1000)
    return sorted(took[100:])
