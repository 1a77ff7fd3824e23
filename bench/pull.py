"""Pulls one image by Ratoon and by skopeo in turn, from the same local registry, and compares.

`python -m bench.pull [--megabytes 200] [--runs 5] [--json FILE]`
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from services.snapshots.images.http import Http
from services.snapshots.images.progress import Progress
from services.snapshots.images.puller import ImagePlan, Puller
from services.snapshots.store.layout import OciLayoutStore
from tests.images import image
from tests.registry import running_registry

TARGETS = {"wall": 1.3, "cpu": 2.0}
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


def main(argv: Sequence[str]) -> dict[str, Any]:
    """Run the comparison and print it; returns what is printed."""
    options = _options(argv)
    if options.pull:
        asyncio.run(_pull(*options.pull))
        return {}
    made = image([int(options.megabytes * 1_000_000 * share) for share in LAYERS], seed=200)
    with (
        running_registry() as registry,
        tempfile.TemporaryDirectory(prefix="bench-pull-", dir=options.dir) as folder,
    ):
        registry.push("bench/image", "1", made)
        reference = f"{registry.host}/bench/image:1"
        pairs = [_pair(reference, Path(folder)) for _ in range(options.runs + 1)][1:]
    result = _result(pairs, made.size)
    print(_table(result))
    print(json.dumps(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return result


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench pull", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200, help="size of the image")
    parser.add_argument("--runs", type=int, default=5, help="pairs, after one to warm up")
    parser.add_argument("--dir", type=Path, help="where to pull to; a folder on the disk to test")
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--pull", nargs=2, metavar=("IMAGE", "STORE"), help="just one pull")
    return parser.parse_args(argv)


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
    ours = [sys.executable, "-m", "bench.pull", "--pull", reference, str(folder / "ours")]
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


def _result(pairs: Sequence[dict[str, Run]], size: int) -> dict[str, Any]:
    ratios = {
        (what, part): statistics.median(
            _ratio(pair, what, started=part == "pull") for pair in pairs
        )
        for what in TARGETS
        for part in ("process", "pull")
    }
    return {
        "image_bytes": size,
        "runs": len(pairs),
        "medians": {name: asdict(_median([pair[name] for pair in pairs])) for name in pairs[0]},
        "ratios": [
            {"of": what, "part": part, "ratio": ratio, "target": TARGETS[what]}
            for (what, part), ratio in ratios.items()
        ],
        # A worker starts once and pulls for weeks: its start-up is no part of a pull.
        "met": all(ratios[what, "pull"] <= target for what, target in TARGETS.items()),
    }


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


def _table(result: dict[str, Any]) -> str:
    size = result["image_bytes"] / 1e6
    lines = [
        f"pull of {size:.0f} MB, medians of {result['runs']} pairs",
        f"{'':10} {'wall s':>8} {'CPU s':>8} {'peak MiB':>9}",
    ]
    for name, run in result["medians"].items():
        lines.append(f"{name:10} {run['wall']:8.2f} {run['cpu']:8.2f} {run['peak_mib']:9.0f}")
    for line in result["ratios"]:
        verdict = "ok" if line["ratio"] <= line["target"] else "MISSED"
        whole = "whole process" if line["part"] == "process" else "without start-up"
        what = f"{line['of']} ratio, {whole}"
        lines.append(f"{what:28} {line['ratio']:5.2f}   target {line['target']:.1f}   {verdict}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]).get("met", True) else 1)
