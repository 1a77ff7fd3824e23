"""Pulls that die, pulls that are cancelled, pulls that meet: the store is never wrong."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from services.snapshots.images.http import Http, Timeouts
from services.snapshots.images.progress import Phase, Progress
from tests.images import Content, Image, assemble, image
from tests.integration.snapshots.images.conftest import Bench
from tests.integration.snapshots.images.scripted import (
    Exchange,
    ScriptedRegistry,
    stalled,
)
from tests.registry import Registry

RUN = "tests.integration.snapshots.images.pull_process"


async def started(reference: str, root: Path, owner: str = "org") -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", RUN, reference, str(root), owner, stdout=PIPE
    )


async def finished(process: Process) -> dict[str, object]:
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    result: dict[str, object] = json.loads(out.splitlines()[-1])
    return result


async def reached(process: Process, position: int) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        if int(line.split()[1]) >= position:
            return
    raise AssertionError("it ended before")


async def test_a_killed_pull_resumes_and_transfers_only_the_rest(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    made = image([8_000_000, 7_000_000, 10_000], seed=71)
    scripted.serve(made)
    for layer in made.layers[:2]:
        scripted.instead(f"/blobs/{layer.digest}", stalled(6_000_000))
    doomed = await started(f"{scripted.host}/a/b:1", bench.root)
    await asyncio.wait_for(reached(doomed, 11_700_000), 30)
    doomed.kill()
    await doomed.wait()

    for blob in bench.blobs():
        assert await bench.store.verify(blob)
    assert made.manifest.digest not in bench.blobs()
    left = bench.partials()
    # What was in memory is lost: a batch or two of each.
    assert sum(left.values()) > 4_000_000
    scripted.requests.clear()
    await bench.pull(f"{scripted.host}/a/b:1")

    for layer in made.layers[:2]:
        [request] = scripted.asked(layer.digest)
        assert request.headers["range"] == f"bytes={left[f'org.{layer.digest[7:]}']}-"
    assert not bench.partials()
    for content in (made.manifest, *made.blobs):
        assert await bench.store.verify(content.digest)


async def test_a_cancelled_pull_stops_at_once_and_can_be_resumed(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    made = image([6_000_000], seed=72)
    scripted.serve(made)
    path = f"/blobs/{made.layers[0].digest}"
    scripted.instead(path, stalled(5_000_000))
    here = asyncio.Event()

    def report(progress: Progress) -> None:
        if progress.phase is Phase.DOWNLOADING and progress.bytes_done >= 4_700_000:
            here.set()

    bench.on_report = report
    bench.timeouts = Timeouts()
    pull = asyncio.create_task(bench.pull(f"{scripted.host}/a/b:1"))
    await asyncio.wait_for(here.wait(), 10)
    pull.cancel()
    done, _ = await asyncio.wait({pull}, timeout=2)

    assert done
    assert pull.cancelled()
    assert not bench.blobs() & {made.manifest.digest, made.layers[0].digest}
    [size] = bench.partials().values()
    await bench.pull(f"{scripted.host}/a/b:1")
    # A thread may still have been writing when the size was taken.
    resumed_at = int(scripted.asked(path)[-1].headers["range"][6:-1])
    assert 1_000_000 < resumed_at <= 5_000_000
    assert size <= resumed_at


async def test_two_processes_of_one_owner_fetch_an_image_once(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    made = image([6_000_000, 5_000_000, 200_000], seed=73)
    scripted.serve(made)
    both = asyncio.Event()
    waiting = 0

    async def together(exchange: Exchange) -> None:
        # Both have resolved the image before either gets its first layer.
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            both.set()
        await both.wait()
        await exchange.send(exchange.proper)

    scripted.instead(f"/blobs/{made.config.digest}", together, together)

    pulls = [await started(f"{scripted.host}/a/b:1", bench.root) for _ in range(2)]
    results = await asyncio.gather(*map(finished, pulls))

    assert [result["digest"] for result in results] == [made.manifest.digest] * 2
    assert len(scripted.asked(made.layers[0].digest)) == 1
    assert not bench.partials()
    for blob in (made.manifest, *made.blobs):
        assert await bench.store.verify(blob.digest)


async def test_an_owner_never_profits_from_anothers_download(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    made = image([500_000], seed=74)
    scripted.serve(made)
    path = f"/blobs/{made.layers[0].digest}"
    await bench.pull(f"{scripted.host}/a/b:1", owner="one")

    await bench.pull(f"{scripted.host}/a/b:1", owner="two")

    assert ["range" in request.headers for request in scripted.asked(path)] == [False, False]


async def test_memory_does_not_grow_with_the_layers(registry: Registry, tmp_path: Path) -> None:
    small, large = image([100_000], seed=75), _zeros(160 << 20)
    registry.push("team/memory", "small", small)
    registry.push("team/memory", "large", large)

    peaks = []
    for tag in ("small", "large"):
        process = await started(f"{registry.host}/team/memory:{tag}", tmp_path / tag)
        peaks.append((await finished(process))["peak_kib"])

    low, high = peaks
    assert isinstance(low, int)
    assert isinstance(high, int)
    assert high - low < 40 << 10


async def test_many_pulls_at_once_share_one_loop(registry: Registry, bench: Bench) -> None:
    made = image([1_500_000, 1_000_000], seed=76)
    registry.push("team/many", "1", made)
    gaps: list[float] = []

    async def watch() -> None:
        clock = asyncio.get_running_loop().time
        while True:
            before = clock()
            await asyncio.sleep(0.005)
            gaps.append(clock() - before)

    watcher = asyncio.create_task(watch())
    async with Http(insecure_hosts=frozenset({registry.host})) as http:
        pulls = [
            bench.pull_by(http, f"{registry.host}/team/many:1", owner=f"o{n}") for n in range(12)
        ]
        results = await asyncio.gather(*pulls)
    watcher.cancel()

    assert {result.manifest_digest for result in results} == {made.manifest.digest}
    assert not bench.partials()
    # Hashing or writing on the loop would hold it for much longer than this, many times over.
    assert sorted(gaps)[len(gaps) // 2] < 0.05


def _zeros(size: int) -> Image:
    """One large layer; what is in it does not matter here."""
    layer = Content("application/vnd.oci.image.layer.v1.tar", bytes(size))
    return assemble([layer], [layer.digest])
