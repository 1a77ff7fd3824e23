"""Docker Hub, replayed from what its documentation shows, under its own names and over TLS."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.snapshots.images.auth import Credentials
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.http import Http
from tests.images import Image, encoded, image, index
from tests.integration.snapshots.images.conftest import Bench
from tests.integration.snapshots.images.names import Names, certified
from tests.integration.snapshots.images.scripted import (
    Reply,
    Request,
    ScriptedRegistry,
    scripted_registry,
)

RECORDED = json.loads(Path(__file__).with_name("docker_hub.json").read_text())
HUB, TOKENS, STORAGE = "registry-1.docker.io", "auth.docker.io", "production.cloudflare.docker.com"
ARM, AMD = ({"os": "linux", "architecture": name} for name in ("arm64", "amd64"))


@dataclass
class Hub:
    """The replay: which answer each of Docker Hub's hosts gives."""

    server: ScriptedRegistry
    http: Http
    repository: str

    def answer(self, request: Request) -> Reply | None:
        host = request.headers["host"]
        if host == TOKENS:
            return recorded("token", token="anonymous-token")
        if host == STORAGE:
            return Reply(200, self.server.blobs["sha256:" + request.path.split("/")[-2]])
        if not request.path.startswith(f"/v2/{self.repository}/"):
            return recorded("denied", repository="of/others")
        if request.headers.get("authorization") != "Bearer anonymous-token":
            return recorded("challenge", repository=self.repository)
        if "/blobs/" in request.path:
            digest = request.path.rpartition(":")[2]
            return recorded("blob", short=digest[:2], hex=digest)
        manifest = self.server.manifests[request.path.rpartition("/")[2]]
        headers = filled(RECORDED["manifest_headers"], digest=manifest.digest)
        return Reply(200, manifest.data, {**headers, "Content-Type": manifest.media_type})

    def serve(self, made: Image, tag: str) -> None:
        self.server.serve(made, "own")
        other = image(seed=81, architecture="arm64")
        both = index([(other.manifest, ARM), (made.manifest, AMD)], docker=True)
        self.server.serve_manifest(both, tag)

    def asked(self, host: str) -> list[Request]:
        return [request for request in self.server.requests if request.headers["host"] == host]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    context, ca_file = certified(tmp_path, HUB, TOKENS, STORAGE)
    async with scripted_registry(tls=context) as server:
        names = Names(dict.fromkeys([HUB, TOKENS, STORAGE], server.host))
        async with Http(extra_ca=ca_file, resolver=names) as http:
            hub = Hub(server, http, "library/alpine")
            server.guard = hub.answer
            yield hub


@pytest.mark.parametrize(
    "name", ["alpine:3.20", "docker.io/alpine:3.20", "index.docker.io/library/alpine:3.20"]
)
async def test_a_short_name_comes_by_token_and_redirect(hub: Hub, bench: Bench, name: str) -> None:
    made = image(seed=82, docker=True)
    hub.serve(made, "3.20")

    pulled = await bench.pull_by(hub.http, name)

    assert pulled.ref == f"docker.io/library/alpine@{made.manifest.digest}"
    [token] = hub.asked(TOKENS)
    assert token.path == "/token"
    assert "service=registry.docker.io" in token.query
    assert "scope=repository%3Alibrary%2Falpine%3Apull" in token.query
    assert "authorization" not in token.headers
    assert len(hub.asked(STORAGE)) == len(made.blobs)
    for request in hub.asked(STORAGE):
        assert "authorization" not in request.headers
        assert request.query.endswith("%2Bw%3D%3D")


async def test_credentials_of_docker_hub_go_to_its_token_server_only(
    hub: Hub, bench: Bench
) -> None:
    hub.serve(image(seed=83, docker=True), "3.20")
    asked = []

    def credentials(host: str) -> Credentials:
        asked.append(host)
        return Credentials("me", "secret")

    await bench.pull_by(hub.http, "alpine:3.20", credentials=credentials)

    assert asked == ["docker.io"]
    basic = "Basic " + b64encode(b"me:secret").decode()
    assert [request.headers["authorization"] for request in hub.asked(TOKENS)] == [basic]
    for request in hub.asked(HUB) + hub.asked(STORAGE):
        assert request.headers.get("authorization") != basic


async def test_the_rate_limit_says_when_to_come_back(hub: Hub, bench: Bench) -> None:
    hub.serve(image(seed=84, docker=True), "3.20")
    hub.server.instead("/manifests/", recorded("challenge", repository="library/alpine"))
    hub.server.instead("/manifests/", recorded("too_many"))

    with pytest.raises(PullFailed) as caught:
        await bench.pull_by(hub.http, "alpine:3.20")

    failure = caught.value
    assert (failure.code, failure.transient) == (Code.REGISTRY_RATE_LIMITED, True)
    assert failure.retry_after == 5820
    assert "TOOMANYREQUESTS: You have reached your pull rate limit" in failure.reason


async def test_an_unknown_repository_looks_forbidden(hub: Hub, bench: Bench) -> None:
    with pytest.raises(PullFailed) as caught:
        await bench.pull_by(hub.http, "of/others:1")

    assert (caught.value.code, caught.value.transient) == (Code.REGISTRY_UNAUTHORIZED, False)
    assert "name" in caught.value.remedy


def recorded(what: str, **values: str) -> Reply:
    record = RECORDED[what]
    body = b"" if record["body"] is None else encoded(filled(record["body"], **values))
    return Reply(record["status"], body, filled(record["headers"], **values))


def filled(value: Any, **values: str) -> Any:
    if isinstance(value, dict):
        return {name: filled(inner, **values) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, **values) for inner in value]
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace("{" + name + "}", text)
    return value
