"""Pulls from a real registry: what comes, what is reported, what is asked first."""

import json
import subprocess
import tarfile
from pathlib import Path

from services.snapshots.images.auth import Credentials
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.progress import Phase
from tests.images import image, index, layer_tar, of_archives
from tests.integration.snapshots.images.conftest import Bench
from tests.registry import PASSWORD, USER, Registry


async def test_an_image_comes_whole(registry: Registry, bench: Bench) -> None:
    settings = {
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["run"],
        "Env": ["A=1", "B="],
        "Labels": {"who": "me"},
        "WorkingDir": "/srv",
        "User": "1000:1000",
    }
    made = image(seed=11, config=settings)
    digest = registry.push("team/app", "1", made)

    pulled = await bench.pull(f"{registry.host}/team/app:1")

    assert pulled.manifest_digest == digest
    assert pulled.ref == f"{registry.host}/team/app@{digest}"
    assert pulled.size_bytes == made.size
    assert pulled.layer_digests == tuple(layer.digest for layer in made.layers)
    assert pulled.config.entrypoint == ("/bin/sh", "-c")
    assert pulled.config.cmd == ("run",)
    assert pulled.config.env == ("A=1", "B=")
    assert pulled.config.labels == {"who": "me"}
    assert (pulled.config.working_dir, pulled.config.user) == ("/srv", "1000:1000")
    assert bench.blobs() == {digest, *(blob.digest for blob in made.blobs)}
    for blob in bench.blobs():
        assert await bench.store.verify(blob)
    assert not bench.partials()


async def test_progress_runs_from_nothing_to_everything(registry: Registry, bench: Bench) -> None:
    made = image([900_000, 600_000], seed=12)
    registry.push("team/progress", "1", made)

    await bench.pull(f"{registry.host}/team/progress:1")

    phases = [report.phase for report in bench.reports]
    assert phases == sorted(phases, key=list(Phase).index)
    assert set(phases) == set(Phase) - {Phase.BUILDING, Phase.STORING}
    downloading = [report for report in bench.reports if report.phase is Phase.DOWNLOADING]
    assert [report.bytes_done for report in downloading] == sorted(
        report.bytes_done for report in downloading
    )
    assert {report.bytes_total for report in downloading} == {made.size}
    assert downloading[-1].bytes_done == made.size
    assert len(downloading) >= 4


async def test_the_plan_comes_before_any_layer_and_can_refuse(
    registry: Registry, bench: Bench
) -> None:
    made = image(seed=13)
    registry.push("team/large", "1", made)
    bench.refusal = PullFailed(Code.IMAGE_TOO_LARGE, "larger than allowed")

    failure = await bench.failure(f"{registry.host}/team/large:1")

    assert (failure.code, failure.transient) == (Code.IMAGE_TOO_LARGE, False)
    [plan] = bench.plans
    assert plan.total_bytes == made.size
    assert plan.name == f"{registry.host}/team/large"
    assert (plan.manifest.data, plan.manifest.digest) == (made.manifest.data, made.manifest.digest)
    assert plan.config.digest == made.config.digest
    assert [layer.size for layer in plan.layers] == [len(layer.data) for layer in made.layers]
    assert not bench.blobs()
    assert not bench.partials()


async def test_a_stored_digest_is_pulled_again_after_its_tag_moved(
    registry: Registry, bench: Bench
) -> None:
    first, second = image(seed=14), image(seed=15)
    registry.push("team/moved", "1", first)
    ref = (await bench.pull(f"{registry.host}/team/moved:1")).ref
    registry.push("team/moved", "1", second)

    again = await bench.pull(ref)

    assert again.manifest_digest == first.manifest.digest


async def test_an_index_is_resolved_to_linux_amd64(registry: Registry, bench: Bench) -> None:
    arm, amd = image(seed=16, architecture="arm64"), image(seed=17)
    for one in (arm, amd):
        registry.push("team/multi", "x", one)
    both = index(
        [
            (arm.manifest, {"os": "linux", "architecture": "arm64"}),
            (amd.manifest, {"os": "linux", "architecture": "amd64"}),
        ]
    )
    registry.push_manifest("team/multi", "both", both)

    by_tag = await bench.pull(f"{registry.host}/team/multi:both")
    by_digest = await bench.pull(f"{registry.host}/team/multi@{both.digest}")

    assert by_tag.manifest_digest == by_digest.manifest_digest == amd.manifest.digest


async def test_docker_formats_are_read(registry: Registry, bench: Bench) -> None:
    made = image(seed=18, docker=True)
    registry.push("team/docker", "x", made)
    several = index([(made.manifest, {"os": "linux", "architecture": "amd64"})], docker=True)
    registry.push_manifest("team/docker", "list", several)

    pulled = await bench.pull(f"{registry.host}/team/docker:list")

    assert pulled.manifest_digest == made.manifest.digest
    assert pulled.manifest_type == made.manifest.media_type
    assert bench.blobs() == {made.manifest.digest, *(blob.digest for blob in made.blobs)}


async def test_a_real_file_system_runs_after_the_pull(
    registry: Registry, bench: Bench, debian: bytes, tmp_path: Path
) -> None:
    made = of_archives(debian, layer_tar(10, seed=1), config={"Cmd": ["/bin/busybox"]})
    registry.push("team/debian", "12", made)

    pulled = await bench.pull(f"{registry.host}/team/debian:12")

    with (
        await bench.store.open(pulled.layer_digests[0]) as blob,
        tarfile.open(fileobj=blob) as layer,
    ):
        [program] = [member for member in layer if member.name.endswith("bin/busybox")]
        layer.extract(program, tmp_path, filter="data")
    command = [str(tmp_path / program.name), "echo", "hello"]
    said = subprocess.run(command, check=True, capture_output=True, timeout=30)
    assert said.stdout == b"hello\n"


async def test_other_tools_read_what_was_pulled(
    registry: Registry, bench: Bench, tmp_path: Path
) -> None:
    made = image(seed=19)
    registry.push("team/tools", "1", made)
    pulled = await bench.pull(f"{registry.host}/team/tools:1")
    await bench.store.tag("tools:1", pulled.manifest_digest, pulled.manifest_type)

    subprocess.run(
        ["skopeo", "copy", "-q", f"oci:{bench.root}:tools:1", f"oci:{tmp_path}/copy:x"],
        check=True,
        timeout=60,
    )

    seen = _inspected(bench.root, "tools:1")
    assert seen["Digest"] == made.manifest.digest
    assert seen["Layers"] == [layer.digest for layer in made.layers]


async def test_blobs_the_owner_holds_do_not_come_again(registry: Registry, bench: Bench) -> None:
    made = image(seed=20)
    registry.push("team/held", "1", made)
    await bench.pull(f"{registry.host}/team/held:1")
    before = {path.name: path.stat().st_ino for path in (bench.root / "blobs/sha256").iterdir()}
    bench.held = frozenset({made.layers[0].digest})

    await bench.pull(f"{registry.host}/team/held:1")

    after = {path.name: path.stat().st_ino for path in (bench.root / "blobs/sha256").iterdir()}
    kept, fetched = (layer.digest.removeprefix("sha256:") for layer in made.layers[:2])
    assert after[kept] == before[kept]
    assert after[fetched] != before[fetched]


async def test_a_held_blob_that_is_gone_comes_again(registry: Registry, bench: Bench) -> None:
    made = image(seed=21)
    registry.push("team/gone", "1", made)
    await bench.pull(f"{registry.host}/team/gone:1")
    await bench.store.remove(made.layers[1].digest)
    bench.held = frozenset(layer.digest for layer in made.layers)

    await bench.pull(f"{registry.host}/team/gone:1")

    assert await bench.store.verify(made.layers[1].digest)


async def test_basic_credentials_open_a_locked_registry(
    locked_registry: Registry, bench: Bench
) -> None:
    made = image(seed=22)
    locked_registry.push("team/secret", "1", made)
    name = f"{locked_registry.host}/team/secret:1"
    asked = []

    def credentials(host: str) -> Credentials:
        asked.append(host)
        return Credentials(USER, PASSWORD)

    pulled = await bench.pull(name, credentials=credentials)
    nobody = await bench.failure(name)
    stranger = await bench.failure(name, credentials=lambda _: Credentials(USER, "a guess"))

    assert pulled.manifest_digest == made.manifest.digest
    assert asked == [locked_registry.host]
    assert nobody.code == stranger.code == Code.REGISTRY_UNAUTHORIZED
    assert not nobody.transient
    assert not stranger.transient
    assert "a guess" not in str(stranger)


async def test_an_unknown_image_is_not_found(registry: Registry, bench: Bench) -> None:
    registry.push("team/known", "1", image(seed=23))

    for missing in ("team/known:2", "team/unknown:1", f"team/known@sha256:{'0' * 64}"):
        failure = await bench.failure(f"{registry.host}/{missing}")
        assert (failure.code, failure.transient) == (Code.IMAGE_NOT_FOUND, False)


def _inspected(root: Path, name: str) -> dict[str, object]:
    answer = subprocess.run(
        ["skopeo", "inspect", f"oci:{root}:{name}"], check=True, timeout=60, capture_output=True
    )
    inspected: dict[str, object] = json.loads(answer.stdout)
    return inspected
