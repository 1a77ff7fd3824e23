"""Builds one Dockerfile by Ratoon's builder and by buildah alone in turn, from the same local registry, and compares.

And how long what a step says takes to whoever follows the log.
"""

import asyncio
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from bench.table import Figure
from chassis.migrations import upgrade
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from services.snapshots.builder.log import BuildLog
from services.snapshots.commands.pulls import claim_pull
from tests.bases import a_base
from tests.identities import Keyring
from tests.images import assemble, image
from tests.integration.snapshots.builder.shop import Shop, a_shop
from tests.integration.snapshots.world import World, a_world
from tests.postgres import Cluster
from tests.registry import Registry, running_registry

_LINES = 300
_LINE_SECONDS = 0.02


def measure(runs: int = 3) -> list[Figure]:
    """Build cold and with every step in the cache, each by both."""
    cluster = Cluster()
    try:
        return asyncio.run(_measure(cluster, runs))
    finally:
        cluster.stop()


async def _measure(cluster: Cluster, runs: int) -> list[Figure]:
    await cluster.admin("CREATE DATABASE bench")
    url = cluster.url("bench")
    await asyncio.to_thread(upgrade, "services.snapshots", url)
    with running_registry() as registry, tempfile.TemporaryDirectory(prefix="bench-build-") as name:
        folder = Path(name)
        _push(registry)
        async with a_shop(url, folder, registry) as shop:
            pairs = [await _pair(shop, folder, number) for number in range(runs + 1)][1:]
        seconds = await _promptness(url, folder)
    cold, cached = zip(*pairs, strict=True)
    return [
        _figure("build of 6 steps, wall / buildah's", cold, 1.1),
        _figure("all steps cached, wall / buildah's", cached, 1.5),
        Figure("what a step says → follower, p99", _p99(seconds) * 1000, "ms", 50),
    ]


def _figure(name: str, pairs: Sequence[tuple[float, float]], target: float) -> Figure:
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(which) for which in zip(*pairs, strict=True))
    return Figure(name, ratio, "×", target, note=f"{ours:.2f} s; buildah {theirs:.2f} s")


def _push(registry: Registry) -> None:
    """Push a base as large as a small distribution's."""
    shell, more = a_base(), image((30_000_000,), seed=9)
    layers = (*shell.layers, *more.layers)
    diff_ids = [
        digest
        for part in (shell, more)
        for digest in json.loads(part.config.data)["rootfs"]["diff_ids"]
    ]
    registry.push("base", "1", assemble(layers, diff_ids, config={"Env": ["PATH=/bin"]}))


def _dockerfile(base: str, comment: str) -> str:
    return f"""\
FROM {base}
RUN dd if=/dev/urandom of=/one bs=1M count=10
ENV A=b
RUN sort /proc/cpuinfo > /two
WORKDIR /work
RUN dd if=/dev/urandom of=three bs=1M count=10
# {comment}
"""


async def _pair(
    shop: Shop, folder: Path, number: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return what both took, cold and cached. An organization that is new has no layers."""
    mine, root = shop.house.organization(), folder / "alone"
    ours, theirs = [], []
    async with shop.builder():
        for comment in ("cold", "cached"):
            text = _dockerfile(shop.base, f"{comment} {number}")
            begun = time.perf_counter()
            await mine.until(await mine.build(text), "active", seconds=300)
            ours.append(time.perf_counter() - begun)
    for comment in ("cold", "cached"):
        text = _dockerfile(shop.base, f"{comment} {number}")
        begun = time.perf_counter()
        await asyncio.to_thread(_alone, root, text)
        theirs.append(time.perf_counter() - begun)
    await asyncio.to_thread(shutil.rmtree, root)
    return (ours[0], theirs[0]), (ours[1], theirs[1])


def _alone(root: Path, text: str) -> None:
    """Build and write the image out, as a person would."""
    context, out = root / "context", root / "image"
    context.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    (context / "Dockerfile").write_text(text)
    storage = ["--storage-driver", "overlay", "--root", root / "root", "--runroot", root / "run"]
    options = ["--isolation", "chroot", "--layers", "--pull=always", "--tls-verify=false"]
    for words in (
        ["bud", *options, "--tag", "built", context],
        ["push", "--quiet", "built", f"oci:{out}"],
    ):
        command = ["unshare", "--mount", "buildah", *map(str, storage), *map(str, words)]
        subprocess.run(command, check=True, capture_output=True)


async def _promptness(url: str, folder: Path) -> list[float]:
    """Return how long each of many lines took from being said to a follower of the served log."""
    (folder / "keys").mkdir()
    with tempfile.TemporaryDirectory(prefix="rtn-") as sockets:
        async with a_world(url, Keyring(folder / "keys"), Path(sockets), no_builder="") as world:
            return await _lines(world)


async def _lines(world: World) -> list[float]:
    member, sessions = world.member(), world.database.sessions
    made = await member.create(image="", build=pb.Build(dockerfile="FROM x"))
    async with sessions.begin() as session:
        hour = timedelta(hours=1)
        claim = await claim_pull(session, "w", lease=hour, patience=hour, share=9, builds=True)
    assert claim is not None
    assert claim.organization_id == UUID(member.organization)
    request = pb.StreamBuildLogRequest(
        organization_id=member.organization, ref=pb.SnapshotRef(text=made.id), follow=True
    )
    stream = world.stub.StreamBuildLog(request, metadata=member.metadata)
    await stream.read()
    seen: list[float] = []
    reading = asyncio.create_task(_read(stream, seen))
    async with BuildLog(sessions, claim, 1 << 20) as log:
        for _ in range(_LINES):
            await log.say(f"{time.perf_counter()}\n")
            await asyncio.sleep(_LINE_SECONDS)
    await reading
    return seen


async def _read(stream: object, seen: list[float]) -> None:
    rest = b""
    while len(seen) < _LINES:
        piece = await stream.read()  # type: ignore[attr-defined]  # grpc's calls have no common type
        now = time.perf_counter()
        *whole, rest = (rest + piece.data).split(b"\n")
        seen += [now - float(line) for line in whole]


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]
