"""What registries and networks do wrong, and what becomes of the pull."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from services.snapshots.images.attempts import Retries
from services.snapshots.images.failures import Code
from services.snapshots.images.http import Http
from tests.images import (
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Content,
    Image,
    encoded,
    image,
    index,
    manifest,
)
from tests.integration.snapshots.images.conftest import Bench
from tests.integration.snapshots.images.scripted import (
    Exchange,
    Reply,
    Request,
    Script,
    ScriptedRegistry,
    altered,
    broken_off,
    chunked,
    scripted_registry,
    stalled,
    trickled,
)

LINUX_AMD64 = {"os": "linux", "architecture": "amd64"}


def big(seed: int) -> Image:
    return image([3_000_000, 20_000], seed=seed)


def of_layer(made: Image, number: int = 0) -> str:
    return made.layers[number].digest


async def whole(bench: Bench, made: Image) -> bool:
    wanted = {made.manifest.digest, *(blob.digest for blob in made.blobs)}
    return bench.blobs() == wanted and all([await bench.store.verify(blob) for blob in wanted])


@pytest.mark.parametrize("reset", [False, True], ids=["truncated", "reset"])
async def test_a_broken_download_goes_on_where_it_stopped(
    scripted: ScriptedRegistry, bench: Bench, reset: bool
) -> None:
    made = big(31)
    scripted.serve(made)
    path = f"/blobs/{of_layer(made)}"
    scripted.instead(path, broken_off(1_500_000, reset=reset), broken_off(1_000, reset=reset))

    await bench.pull(f"{scripted.host}/a/b:1")

    assert await whole(bench, made)
    first, *later = scripted.asked(path)
    assert "range" not in first.headers
    assert len(later) == 2
    # A reset throws away what the kernel still held, so only the direction is certain.
    starts = [int(request.headers["range"][6:-1]) for request in later]
    assert starts == sorted(starts)
    assert reset or starts == [1_500_000, 1_501_000]


async def test_a_registry_without_ranges_is_resumed_all_the_same(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    made = big(32)
    scripted.serve(made)
    scripted.ranges = False
    scripted.instead(f"/blobs/{of_layer(made)}", broken_off(2_000_000))

    await bench.pull(f"{scripted.host}/a/b:1")

    assert await whole(bench, made)


async def test_a_connection_that_breaks_for_ever_is_transient_and_resumable(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    made = big(33)
    scripted.serve(made)
    path = f"/blobs/{of_layer(made)}"
    scripted.instead(path, broken_off(700_000), *[broken_off(0) for _ in range(9)])

    failure = await bench.failure(f"{scripted.host}/a/b:1")
    partials = bench.partials()
    scripted.scripts.clear()
    before = len(scripted.asked(path))
    await bench.pull(f"{scripted.host}/a/b:1")

    assert (failure.code, failure.transient) == (Code.REGISTRY_UNREACHABLE, True)
    assert before == bench.retries.attempts
    assert partials[f"org.{of_layer(made)[7:]}"] == 700_000
    assert scripted.asked(path)[before].headers["range"] == "bytes=700000-"
    assert await whole(bench, made)


def flipped(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


async def test_a_flipped_byte_is_fetched_anew_once(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    made = big(34)
    scripted.serve(made)
    path = f"/blobs/{of_layer(made)}"
    scripted.instead(path, altered(flipped))

    await bench.pull(f"{scripted.host}/a/b:1")

    assert await whole(bench, made)
    assert ["range" in request.headers for request in scripted.asked(path)] == [False, False]


@pytest.mark.parametrize("part", ["layer", "config", "manifest"])
async def test_bytes_that_stay_wrong_are_final_and_leave_nothing(
    scripted: ScriptedRegistry, bench: Bench, part: str
) -> None:
    made = image(seed=35)
    scripted.serve(made)
    content = {"layer": made.layers[0], "config": made.config, "manifest": made.manifest}[part]
    kind = "manifests" if part == "manifest" else "blobs"
    path = f"/{kind}/{content.digest}"
    scripted.instead(path, *[altered(flipped) for _ in range(5)])

    failure = await bench.failure(f"{scripted.host}/a/b@{made.manifest.digest}")

    assert (failure.code, failure.transient) == (Code.DIGEST_MISMATCH, False)
    assert len(scripted.asked(path)) == 2
    assert content.digest not in bench.blobs()
    assert made.manifest.digest not in bench.blobs()
    assert not [name for name in bench.partials() if content.digest[7:] in name]


@pytest.mark.parametrize(
    "lie",
    [
        altered(lambda data: data + b"more"),
        altered(lambda data: data[:-4]),
        chunked(lambda data: data + b"more" * 1000),
        chunked(lambda data: data[:-4]),
    ],
    ids=["longer", "shorter", "chunked-longer", "chunked-shorter"],
)
async def test_a_layer_that_is_not_as_large_as_described_is_refused(
    scripted: ScriptedRegistry, bench: Bench, lie: Script
) -> None:
    made = image(seed=36)
    scripted.serve(made)
    scripted.instead(f"/blobs/{of_layer(made)}", lie, lie)

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert (failure.code, failure.transient) == (Code.DIGEST_MISMATCH, False)
    assert of_layer(made) not in bench.blobs()
    assert not [name for name in bench.partials() if of_layer(made)[7:] in name]


async def test_a_body_without_a_length_is_read(scripted: ScriptedRegistry, bench: Bench) -> None:
    made = image(seed=37)
    scripted.serve(made)
    scripted.instead("/blobs/", *[chunked() for _ in made.blobs])

    await bench.pull(f"{scripted.host}/a/b:1")

    assert await whole(bench, made)


async def test_a_lying_content_length_is_a_broken_connection(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    made = image(seed=38)
    scripted.serve(made)
    data = made.layers[0].data
    short = Reply(200, data[:-10], length=len(data), headers={"Connection": "close"})

    async def cut(exchange: Exchange) -> None:
        await exchange.send(short)
        exchange.writer.close()

    scripted.instead(f"/blobs/{of_layer(made)}", cut)

    await bench.pull(f"{scripted.host}/a/b:1")

    assert await whole(bench, made)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
async def test_a_short_storm_is_weathered(
    scripted: ScriptedRegistry, bench: Bench, status: int
) -> None:
    made = image(seed=39)
    scripted.serve(made)
    scripted.instead("/manifests/", Reply(status), Reply(status))
    scripted.instead(f"/blobs/{of_layer(made)}", Reply(status), Reply(status))

    await bench.pull(f"{scripted.host}/a/b:1")

    assert await whole(bench, made)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, Code.REGISTRY_ERROR),
        (503, Code.REGISTRY_ERROR),
        (504, Code.REGISTRY_TIMEOUT),
        (429, Code.REGISTRY_RATE_LIMITED),
    ],
)
async def test_a_long_storm_is_left_to_the_caller(
    scripted: ScriptedRegistry, bench: Bench, status: int, code: Code
) -> None:
    scripted.serve(image(seed=40))
    scripted.instead("/manifests/", *[Reply(status) for _ in range(20)])

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert (failure.code, failure.transient) == (code, True)
    assert len(scripted.requests) == bench.retries.attempts


async def test_a_long_retry_after_is_handed_up_at_once(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    scripted.serve(image(seed=41))
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    for said, least, most in (("120", 120, 120), (date, 80, 91)):
        scripted.requests.clear()
        scripted.instead("/manifests/", Reply(429, headers={"Retry-After": said}))

        failure = await bench.failure(f"{scripted.host}/a/b:1")

        assert failure.retry_after is not None
        assert least <= failure.retry_after <= most
        assert len(scripted.requests) == 1


async def test_a_short_retry_after_is_waited_for(scripted: ScriptedRegistry, bench: Bench) -> None:
    made = image(seed=42)
    scripted.serve(made)
    bench.retries = Retries(attempts=2, first_pause=0.001, longest_pause=1)
    scripted.instead("/manifests/", Reply(503, headers={"Retry-After": "1"}))

    await bench.pull(f"{scripted.host}/a/b:1")

    assert await whole(bench, made)


@pytest.mark.parametrize("slow", [stalled(1_000), trickled(0.01)], ids=["stall", "loris"])
@pytest.mark.parametrize("where", ["/manifests/", "/blobs/"])
async def test_silence_and_trickles_are_timeouts(
    scripted: ScriptedRegistry, bench: Bench, slow: Script, where: str
) -> None:
    made = image(seed=43, config={"Env": ["PAD=" + "x" * 2_000]})
    scripted.serve(made)
    scripted.manifests["1"] = Content(OCI_MANIFEST, made.manifest.data + b" " * 2_000)
    scripted.instead(where, *[slow for _ in range(9)])
    bench.retries = Retries(attempts=1)

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert (failure.code, failure.transient) == (Code.REGISTRY_TIMEOUT, True)


async def test_trickling_headers_are_a_timeout(scripted: ScriptedRegistry, bench: Bench) -> None:
    async def trickle(exchange: Exchange) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Pad: " + b"x" * 1_000:
            exchange.writer.write(bytes([byte]))
            await exchange.writer.drain()
            await asyncio.sleep(0.05)

    scripted.instead("/manifests/", trickle)
    bench.retries = Retries(attempts=1)

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert failure.code is Code.REGISTRY_TIMEOUT


async def test_a_redirect_keeps_the_credentials_at_home(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    made = image(seed=44)
    scripted.serve(made)
    scripted.guard = lambda request: (
        None
        if request.headers.get("authorization") == "Bearer sesame"
        else Reply(
            401, headers={"WWW-Authenticate": f'Bearer realm="http://{scripted.host}/token"'}
        )
    )
    scripted.instead("/token", Reply(200, b'{"token": "sesame"}'))
    scripted.guard = _unless_token(scripted.guard)
    async with scripted_registry() as elsewhere:
        elsewhere.serve(made)
        target = f"http://{elsewhere.host}/blobs/{of_layer(made)}?signature=abc%2Fdef"
        scripted.instead(f"/blobs/{of_layer(made)}", Reply(307, headers={"Location": target}))

        await _pull_from(bench, scripted.host, elsewhere.host)

        [redirected] = elsewhere.requests
        assert "authorization" not in redirected.headers
        assert redirected.query == "signature=abc%2Fdef"
    assert await whole(bench, made)


async def test_a_redirect_target_that_refuses_is_asked_for_anew(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    made = image(seed=45)
    scripted.serve(made)
    async with scripted_registry() as elsewhere:
        elsewhere.serve(made)
        asks = {"WWW-Authenticate": "Basic"}
        elsewhere.instead("/blobs/", Reply(403), Reply(401, headers=asks))
        target = Reply(307, headers={"Location": f"http://{elsewhere.host}/blobs/{of_layer(made)}"})
        scripted.instead(f"/blobs/{of_layer(made)}", target, target, target)

        await _pull_from(bench, scripted.host, elsewhere.host)

        assert len(elsewhere.requests) == 3
    assert await whole(bench, made)


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://plain.example/x", Code.REGISTRY_TLS),
        ("ftp://files.example/x", Code.REGISTRY_PROTOCOL),
        ("file:///etc/passwd", Code.REGISTRY_PROTOCOL),
        ("https://user:word@files.example/x", Code.REGISTRY_PROTOCOL),
        ("https://[bad", Code.REGISTRY_PROTOCOL),
        ("https://files.example:99999/x", Code.REGISTRY_PROTOCOL),
        ("", Code.REGISTRY_PROTOCOL),
    ],
)
async def test_redirects_lead_nowhere_else(
    scripted: ScriptedRegistry, bench: Bench, location: str, code: Code
) -> None:
    made = image(seed=46)
    scripted.serve(made)
    answer = Reply(302, headers={"Location": location})
    scripted.instead(f"/blobs/{of_layer(made)}", *[answer for _ in range(20)])

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert (failure.code, failure.transient) == (code, False)


INVALID = {
    "html": (b"<html>", "text/html", Code.REGISTRY_PROTOCOL),
    "no JSON": (b"{", OCI_MANIFEST, Code.IMAGE_INVALID),
    "a list": (b"[]", OCI_MANIFEST, Code.IMAGE_INVALID),
    "deep": (b"[" * 200_000, OCI_MANIFEST, Code.IMAGE_INVALID),
    "huge": (b'{"x": "' + b"x" * (5 << 20) + b'"}', OCI_MANIFEST, Code.IMAGE_INVALID),
    "schema 1": (b'{"schemaVersion": 1}', "application/json", Code.IMAGE_INVALID),
    "schema 1 signed": (
        b'{"schemaVersion": 1}',
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        Code.IMAGE_INVALID,
    ),
    "nothing in it": (b'{"schemaVersion": 2}', OCI_MANIFEST, Code.IMAGE_INVALID),
    "both": (
        b'{"schemaVersion": 2, "manifests": [], "layers": []}',
        OCI_INDEX,
        Code.IMAGE_INVALID,
    ),
    "two types": (
        encoded({"schemaVersion": 2, "mediaType": OCI_INDEX}),
        OCI_MANIFEST,
        Code.IMAGE_INVALID,
    ),
    "empty index": (
        encoded({"schemaVersion": 2, "manifests": []}),
        OCI_INDEX,
        Code.IMAGE_PLATFORM_MISSING,
    ),
    "wrong index": (
        encoded({"schemaVersion": 2, "manifests": {"a": 1}}),
        OCI_INDEX,
        Code.IMAGE_INVALID,
    ),
}


@pytest.mark.parametrize("case", INVALID)
async def test_what_is_no_manifest_is_refused(
    scripted: ScriptedRegistry, bench: Bench, case: str
) -> None:
    data, media_type, code = INVALID[case]
    scripted.serve_manifest(Content(media_type, data), "1")

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert (failure.code, failure.transient) == (code, False)
    assert len(scripted.requests) == 1
    assert not bench.blobs()


DESCRIPTORS = {
    "traversal": {"digest": "sha256:../../../../etc/passwd"},
    "short": {"digest": "sha256:abc"},
    "upper case": {"digest": "sha256:" + "A" * 64},
    "newline": {"digest": "sha256:" + "a" * 64 + "\n"},
    "other algorithm": {"digest": "sha512:" + "a" * 128},
    "number": {"digest": 5},
    "negative": {"size": -1},
    "text size": {"size": "5"},
    "true": {"size": True},
    "fraction": {"size": 1.5},
    "astronomic": {"size": 1 << 62},
    "no file system": {"mediaType": "application/x-sh"},
}


@pytest.mark.parametrize("case", DESCRIPTORS)
@pytest.mark.parametrize("part", ["config", "layer"])
async def test_impossible_descriptors_are_refused(
    scripted: ScriptedRegistry, bench: Bench, case: str, part: str
) -> None:
    made = image(seed=47)
    document = json.loads(made.manifest.data)
    target = document["config"] if part == "config" else document["layers"][0]
    target |= DESCRIPTORS[case]
    scripted.serve_manifest(Content(OCI_MANIFEST, encoded(document)), "1")

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert (failure.code, failure.transient) == (Code.IMAGE_INVALID, False)
    assert len(scripted.requests) == 1
    assert not bench.blobs()


CONFIGS = {
    "no JSON": b"nothing",
    "other layers": encoded({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}}),
    "entrypoint": encoded(
        {
            "os": "linux",
            "architecture": "amd64",
            "config": {"Entrypoint": "sh"},
            "rootfs": {"diff_ids": ["x"]},
        }
    ),
    "NUL": encoded(
        {
            "os": "linux",
            "architecture": "amd64",
            "config": {"Env": ["A=\0"]},
            "rootfs": {"diff_ids": ["x"]},
        }
    ),
}


@pytest.mark.parametrize("case", CONFIGS)
async def test_impossible_configs_are_refused(
    scripted: ScriptedRegistry, bench: Bench, case: str
) -> None:
    config, layer = Content(OCI_CONFIG, CONFIGS[case]), Content(OCI_LAYER, b"layer")
    scripted.serve(Image(manifest(config, [layer]), config, (layer,)))

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert (failure.code, failure.transient) == (Code.IMAGE_INVALID, False)
    assert not bench.plans


async def test_an_image_of_another_platform_is_refused(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    arm, windows = image(seed=48, architecture="arm64"), image(seed=49, os="windows")
    entries = [
        (arm.manifest, {"os": "linux", "architecture": "arm64"}),
        (windows.manifest, {"os": "windows", "architecture": "amd64"}),
        (arm.manifest, {"os": "unknown", "architecture": "unknown"}),
    ]
    scripted.serve(arm, "arm")
    scripted.serve_manifest(index(entries), "several")

    single = await bench.failure(f"{scripted.host}/a/b:arm")
    several = await bench.failure(f"{scripted.host}/a/b:several")

    assert single.code == several.code == Code.IMAGE_PLATFORM_MISSING
    assert not single.transient
    assert "linux/arm64" in single.reason
    assert "linux/arm64, windows/amd64" in several.reason


async def test_indexes_do_not_nest(scripted: ScriptedRegistry, bench: Bench) -> None:
    inner = index([(image(seed=50).manifest, LINUX_AMD64)])
    said = index([(inner, LINUX_AMD64)])
    disguised = Content(OCI_INDEX, said.data.replace(OCI_INDEX.encode(), OCI_MANIFEST.encode()))
    disguised_body = json.loads(said.data)
    disguised_body["manifests"][0]["mediaType"] = OCI_MANIFEST
    disguised = Content(OCI_INDEX, encoded(disguised_body))
    scripted.serve_manifest(inner)
    scripted.serve_manifest(said, "said")
    scripted.serve_manifest(disguised, "disguised")

    for tag in ("said", "disguised"):
        failure = await bench.failure(f"{scripted.host}/a/b:{tag}")
        assert (failure.code, failure.transient) == (Code.IMAGE_INVALID, False)
        assert "another index" in failure.reason


async def test_a_docker_manifest_under_an_oci_type_is_refused(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    made = image(seed=51, docker=True)
    assert made.manifest.media_type == DOCKER_MANIFEST
    scripted.serve_manifest(Content(OCI_MANIFEST, made.manifest.data), "1")

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert failure.code is Code.IMAGE_INVALID


def _unless_token(guard: Callable[[Request], Reply | None]) -> Callable[[Request], Reply | None]:
    return lambda request: None if request.path == "/token" else guard(request)


async def _pull_from(bench: Bench, *hosts: str) -> None:
    async with Http(insecure_hosts=frozenset(hosts), timeouts=bench.timeouts) as http:
        await bench.pull_by(http, f"{hosts[0]}/a/b:1")
