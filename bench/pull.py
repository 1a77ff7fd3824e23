"""Pulls one image by Ratoon and by skopeo in turn, from the same local registry, and compares.

Run as a process of its own (`python -m bench.pull IMAGE STORE`) it is one pull.
"""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from bench.table import Figure
from services.snapshots.images.http import Http
from services.snapshots.images.progress import Progress
from services.snapshots.images.puller import ImagePlan, Puller
from services.snapshots.store.layout import OciLayoutStore
from tests.images import image
from tests.registry import running_registry

# Shares of the whole, so that the layers differ as those of real images do.
LAYERS = (0.4, 0.3, 0.2, 0.07, 0.03)

# Measured by a small process between us and the command: Linux counts the peak of who forked a
# process as its own, and ours is that of a process which made an image.
_STOPWATCH = """
import os, sys, time
start = time.perf_counter()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
wall = time.perf_counter() - start
if status:
    sys.exit(f"{sys.argv[1]} failed")
print([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024])
"""


@dataclass(frozen=True)
class Run:
    """What one process took, from its start to its end."""

    wall: float
    cpu: float
    peak_mib: float


def measure(runs: int = 5, megabytes: int = 200) -> list[Figure]:
    """Pull by Ratoon's puller and by skopeo in turn, after one pair to warm up."""
    made = image([int(megabytes * 1_000_000 * share) for share in LAYERS], seed=200)
    with (
        running_registry() as registry,
        tempfile.TemporaryDirectory(prefix="bench-pull-") as folder,
    ):
        registry.push("bench/image", "1", made)
        reference = f"{registry.host}/bench/image:1"
        pairs = [_pair(reference, Path(folder)) for _ in range(runs + 1)][1:]
    ours, theirs = (_median([pair[who] for pair in pairs]) for who in ("ratoon", "skopeo"))
    size = f"{made.size / 1e6:.0f} MB; skopeo"
    return [
        # A worker starts once and pulls for weeks: its start-up is no part of a pull.
        _figure("pull, wall / skopeo's", pairs, "wall", started=True, target=1.3),
        _figure("pull, CPU / skopeo's", pairs, "cpu", started=True, target=2.0),
        _figure("with start-up, wall / skopeo's", pairs, "wall", started=False),
        _figure("with start-up, CPU / skopeo's", pairs, "cpu", started=False),
        Figure("pull, wall with start-up", ours.wall, "s", note=f"{size} {theirs.wall:.2f}"),
        Figure("pull, CPU with start-up", ours.cpu, "s", note=f"{size} {theirs.cpu:.2f}"),
        Figure("pull, peak memory", ours.peak_mib, "MiB", note=f"skopeo {theirs.peak_mib:.0f}"),
    ]


def _figure(
    name: str,
    pairs: Sequence[dict[str, Run]],
    what: str,
    *,
    started: bool,
    target: float | None = None,
) -> Figure:
    ratio = statistics.median(_ratio(pair, what, started=started) for pair in pairs)
    return Figure(name, ratio, "×", target)


async def _pull(reference: str, root: str) -> None:
    async def plan(_plan: ImagePlan) -> Set[str]:
        return frozenset()

    def report(_progress: Progress) -> None:
        """As cheap as the report of a worker that only remembers."""

    async with Http(insecure_hosts=frozenset({reference.partition("/")[0]})) as http:
        puller = Puller(http, OciLayoutStore(Path(root)))
        await puller.pull(reference, owner="bench", plan=plan, report=report)


def _pair(reference: str, folder: Path) -> dict[str, Run]:
    """One run of each, right after one another, plus our own process without any work."""
    ours = [sys.executable, "-m", "bench.pull", reference, str(folder / "ours")]
    theirs = f"docker://{reference}", f"oci:{folder}/theirs:1"
    pair = {
        "ratoon": _measured(ours),
        "skopeo": _measured(["skopeo", "copy", "-q", "--src-tls-verify=false", *theirs]),
        "start-up": _measured([sys.executable, "-c", "import bench.pull"]),
    }
    for name in ("ours", "theirs"):
        shutil.rmtree(folder / name)
    return pair


def _measured(command: Sequence[str]) -> Run:
    # What earlier runs left in the page cache must not be written back at this one's cost.
    os.sync()
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _STOPWATCH, *command],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    return Run(*json.loads(answer.stdout))


def _ratio(pair: dict[str, Run], what: str, *, started: bool) -> float:
    ours: float = getattr(pair["ratoon"], what)
    theirs: float = getattr(pair["skopeo"], what)
    start_up: float = getattr(pair["start-up"], what)
    return (ours - start_up if started else ours) / theirs


def _median(runs: Sequence[Run]) -> Run:
    return Run(
        statistics.median(run.wall for run in runs),
        statistics.median(run.cpu for run in runs),
        statistics.median(run.peak_mib for run in runs),
    )


if __name__ == "__main__":
    asyncio.run(_pull(sys.argv[1], sys.argv[2]))
