"""Images pushed by skopeo with what registry-push-access gives out: into the own project, for a while, and no further."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from bench.system import System
from tests.images import Image, image

SECONDS = 30


@dataclass
class Pusher:
    """An organization, a key of it, and what it was given to push with."""

    system: System
    id: str
    client: httpx.Client
    access: dict[str, str]

    @property
    def login(self) -> str:
        return f"{self.access['username']}:{self.access['secret']}"

    def name(self, image: str) -> str:
        return f"{self.access['registryUrl']}/{self.access['project']}/{image}"

    def snapshot(self, image: str) -> dict[str, Any]:
        """Make a snapshot and return what became of it."""
        body = {"name": f"pushed-{uuid4().hex[:8]}", "imageName": image}
        answer = self.client.post("/snapshots", json=body)
        answer.raise_for_status()
        deadline = time.monotonic() + SECONDS
        made: dict[str, Any] = answer.json()
        while made["state"] in ("pending", "pulling") and time.monotonic() < deadline:
            made = self.client.get(f"/snapshots/{made['id']}").json()
        return made

    def token(self, *scopes: str) -> httpx.Response:
        return httpx.get(
            f"{self.system.url}/registry/token",
            params={"scope": scopes},
            auth=(self.access["username"], self.access["secret"]),
        )


def _pusher(system: System, name: str) -> Pusher:
    id_ = system.organization(name)
    body = {"name": "pushes", "permissions": ["write:snapshots", "delete:snapshots"]}
    headers = {"X-Daytona-Organization-ID": id_}
    key = system.client.post("/api-keys", json=body, headers=headers).json()["value"]
    bearer = {"Authorization": f"Bearer {key}"}
    client = httpx.Client(base_url=system.url, headers=bearer, timeout=60)
    answer = client.get("/docker-registry/registry-push-access")
    assert answer.status_code == 200, answer.text
    return Pusher(system, id_, client, answer.json())


@pytest.fixture(scope="module")
def mine(system: System) -> Iterator[Pusher]:
    pusher = _pusher(system, "pushes")
    yield pusher
    pusher.client.close()


@pytest.fixture(scope="module")
def theirs(system: System) -> Iterator[Pusher]:
    pusher = _pusher(system, "pushes too")
    yield pusher
    pusher.client.close()


def _layout(folder: Path, made: Image) -> str:
    """Write an image as a layout that skopeo reads."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for content in (made.manifest, *made.blobs):
        (blobs / content.digest.removeprefix("sha256:")).write_bytes(content.data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    index = {"schemaVersion": 2, "manifests": [made.manifest.descriptor()]}
    (folder / "index.json").write_text(json.dumps(index))
    return f"oci:{folder}"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Image]:
    made = image((50_000, 60_000), seed=91, config={"Entrypoint": ["/bin/app"]})
    return _layout(tmp_path_factory.mktemp("image"), made), made


def _skopeo(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["skopeo", *words],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _push(source: str, login: str, name: str) -> subprocess.CompletedProcess[str]:
    return _skopeo(
        *("copy", "--dest-tls-verify=false", "--dest-creds", login),
        *(source, f"docker://{name}"),
    )


def _inspect(login: str, name: str) -> subprocess.CompletedProcess[str]:
    creds = ("--creds", login) if login else ("--no-creds",)
    return _skopeo("inspect", "--tls-verify=false", *creds, "--raw", f"docker://{name}")


def test_what_is_pushed_becomes_a_snapshot_of_its_organization_alone(
    mine: Pusher, theirs: Pusher, local: tuple[str, Image]
) -> None:
    source, made = local
    pushed = _push(source, mine.login, mine.name("app:20261125"))
    assert pushed.returncode == 0, pushed.stderr
    assert made.manifest.data.decode() == _inspect(mine.login, mine.name("app:20261125")).stdout
    snapshot = mine.snapshot(mine.name("app:20261125"))
    assert snapshot["state"] == "active", snapshot
    assert snapshot["entrypoint"] == ["/bin/app"]
    assert mine.snapshot(mine.name(f"app@{made.manifest.digest}"))["state"] == "active"
    stranger = theirs.snapshot(mine.name("app:20261125"))
    assert (stranger["state"], stranger["errorCode"]) == ("error", "REGISTRY_UNAUTHORIZED")


@pytest.mark.parametrize("where", ["{theirs}/x:1", "x:1", "library/x:1", "{mine}x/y:1"])
def test_pushing_elsewhere_is_denied(
    mine: Pusher, theirs: Pusher, local: tuple[str, Image], where: str
) -> None:
    place = where.format(mine=mine.id, theirs=theirs.id)
    denied = _push(local[0], mine.login, f"{mine.access['registryUrl']}/{place}")
    assert denied.returncode != 0
    assert "denied" in denied.stderr or "unauthorized" in denied.stderr, denied.stderr


def test_what_others_pushed_cannot_be_read(
    mine: Pusher, theirs: Pusher, local: tuple[str, Image]
) -> None:
    source, made = local
    name = theirs.name("secret:1")
    assert _push(source, theirs.login, name).returncode == 0
    assert _inspect(theirs.login, name).returncode == 0
    for login in (mine.login, "", f"{uuid4()}:x", f"{mine.access['username']}:x"):
        assert _inspect(login, name).returncode != 0
    # Nor by the digest of what is in it, neither in its place nor out of the own project.
    host, digest = f"http://{mine.access['registryUrl']}/v2", made.layers[0].digest
    mine_, theirs_ = f"{mine.id}/stolen", f"{theirs.id}/secret"
    scopes = (f"repository:{mine_}:pull,push", f"repository:{theirs_}:pull")
    bearer = {"Authorization": f"Bearer {mine.token(*scopes).json()['token']}"}
    assert httpx.get(f"{host}/{theirs_}/blobs/{digest}", headers=bearer).status_code == 401
    assert httpx.get(f"{host}/{mine_}/blobs/{digest}", headers=bearer).status_code == 404
    mount = {"mount": digest, "from": theirs_}
    mounted = httpx.post(f"{host}/{mine_}/blobs/uploads/", params=mount, headers=bearer)
    assert mounted.status_code == 401
    listed = mine.token("registry:catalog:*").json()["token"]
    catalog = httpx.get(f"{host}/_catalog", headers={"Authorization": f"Bearer {listed}"})
    assert catalog.status_code == 401


def test_nothing_is_deleted_with_it(mine: Pusher, local: tuple[str, Image]) -> None:
    name = mine.name("kept:1")
    assert _push(local[0], mine.login, name).returncode == 0
    deleted = _skopeo("delete", "--tls-verify=false", "--creds", mine.login, f"docker://{name}")
    assert deleted.returncode != 0
    assert _inspect(mine.login, name).returncode == 0


def test_it_ends_when_it_said_it_would(system: System, local: tuple[str, Image]) -> None:
    late = _pusher(system, "late")
    assert _push(local[0], late.login, late.name("x:1")).returncode == 0
    username = UUID(late.access["username"])
    system.sql("snapshots", "UPDATE push_grants SET expires_at = now() WHERE id = $1", username)
    denied = _push(local[0], late.login, late.name("x:2"))
    assert denied.returncode != 0
    assert "unauthorized" in denied.stderr, denied.stderr
    late.client.close()


def test_it_ends_with_the_key_it_was_asked_for_by(system: System) -> None:
    gone = _pusher(system, "gone")
    assert gone.token().status_code == 200
    headers = {"X-Daytona-Organization-ID": gone.id}
    system.client.delete("/api-keys/pushes", headers=headers).raise_for_status()
    deadline = time.monotonic() + SECONDS
    while (answer := gone.token()).status_code == 200 and time.monotonic() < deadline:
        continue
    assert (answer.status_code, answer.json()["code"]) == (401, "PUSH_CREDENTIAL_INVALID")
    gone.client.close()


def test_the_region_of_another_organization_is_unknown(
    system: System, mine: Pusher, theirs: Pusher
) -> None:
    headers = {"X-Daytona-Organization-ID": theirs.id}
    made = system.client.post("/regions", json={"name": "own"}, headers=headers).json()["id"]
    for region in (made, "nowhere_x1y2"):
        query = {"regionId": region}
        answer = mine.client.get("/docker-registry/registry-push-access", params=query)
        assert (answer.status_code, answer.json()["code"]) == (404, "REGION_NOT_FOUND")
    query = {"regionId": "us"}
    answer = mine.client.get("/docker-registry/registry-push-access", params=query)
    assert answer.status_code == 200


def test_no_secret_is_in_any_log(system: System, mine: Pusher) -> None:
    logs = "".join(path.read_text() for path in (system.home / "logs").iterdir())
    assert mine.access["secret"] not in logs
