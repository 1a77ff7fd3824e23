"""What compose.yaml starts works together: one project, its services as plain processes, and clients from outside."""

import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from obstore.store import S3Store

from deploy.local.binaries import find_envoy
from tests.bases import a_base
from tests.conftest import MakeDatabase
from tests.e2e.test_push import _layout as layout_of
from tests.images import image
from tests.integration.deploy.containers import ROOT, Containers

pytestmark = [pytest.mark.xdist_group("containers"), pytest.mark.timeout(300)]
_SECURE = 3987
_ROOMS = ("auth", "orgs", "snapshots", "snapshots-worker", "gateway")


class Project(Containers):
    """Everything of compose.yaml that runs, reached at the edge, and an administrator's key."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.told["RATOON_HOST"] = f"localhost:{self.port('edge', str(_SECURE))}"
        self.key = ""

    @property
    def authority(self) -> Path:
        return self.secret("edge-authority")

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"https://{self.told['RATOON_HOST']}/api",
            headers={"Authorization": f"Bearer {self.key}"} if self.key else {},
            verify=ssl.create_default_context(cafile=self.authority),
            timeout=60,
        )

    def start_storage(self) -> None:
        """Start it in a folder instead of the container's, on ports of this machine."""
        first, home = self.port("storage", "8333"), self.base / "storage"
        home.mkdir()
        (home / "storage").symlink_to(self.volume("contexts"))
        keys = self.environment("storage")["STORAGE_KEYS_FILE"]
        code = (
            "import sys; from pathlib import Path; from deploy.container.storage import serve; "
            f"sys.exit(serve(Path({str(home)!r}), Path({keys!r}), {first}, '127.0.0.1'))"
        )
        self.spawn("storage", [sys.executable, "-P", "-c", code], self.environ("storage"))

    def start_registry(self) -> None:
        text = (ROOT / "deploy" / "registry" / "config.yml").read_text()
        path = self.base / "registry.yml"
        path.write_text(self.placed("registry", text))
        environment = {"PATH": os.environ["PATH"], **self.environment("registry")}
        self.spawn("registry", ["docker-registry", "serve", str(path)], environment)

    def start_edge(self) -> None:
        text = (ROOT / "deploy" / "envoy" / "envoy.yaml").read_text()
        text = re.sub(r"address: ([\w.]+), port_value: (\d+)", self._at, text)
        path = self.base / "envoy.yaml"
        path.write_text(self.placed("edge", text))
        options = ("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning")
        command = [str(find_envoy()), "--config-path", str(path), *options]
        self.spawn("edge", command, {"PATH": os.environ["PATH"]})

    def _at(self, found: re.Match[str]) -> str:
        service = "edge" if found[1] == "0.0.0.0" else found[1]
        return f"address: 127.0.0.1, port_value: {self.port(service, found[2])}"

    def await_edge(self) -> None:
        while True:
            try:
                with self.client() as client:
                    client.get("/health").raise_for_status()
            except (httpx.ConnectError, httpx.HTTPStatusError):
                assert self._running["edge"].poll() is None, self.log("edge")
            else:
                return


@pytest.fixture(scope="module")
async def project(make_database: MakeDatabase) -> AsyncIterator[Project]:
    if os.geteuid() != 0:
        pytest.fail("the builder needs root on this machine")
    with tempfile.TemporaryDirectory(prefix="rtn-") as folder:
        project = Project(Path(folder))
        for context in ("auth", "orgs", "snapshots"):
            url = await make_database(f"services.{context}")
            project.secret(f"{context}-database-url").write_text(url + "\n")
            done = project.run(f"{context}-migrate")
            assert done.returncode == 0, done.stderr
        checked = project.run("builder-check")
        assert checked.returncode == 0, checked.stderr
        try:
            project.start_storage()
            project.start_registry()
            for service in (*_ROOMS, "snapshots-builder"):
                project.start(service)
            project.start_edge()
            for service in (*_ROOMS, "snapshots-builder"):
                project.await_healthy(service)
            project.await_edge()
            said = project.run("operator")
            assert said.returncode == 0, said.stderr
            project.key = json.loads(said.stdout)["secret"]
            yield project
        finally:
            project.stop_all()


def _made(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/snapshots", json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    while made["state"] not in ("active", "error", "build_failed"):
        made = client.get(f"/snapshots/{made['id']}").json()
    return made


def _skopeo(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    certificates = project.base / "certificates"
    certificates.mkdir(exist_ok=True)
    (certificates / "ca.crt").write_text(project.authority.read_text())
    return subprocess.run(
        ["skopeo", *words],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_is_pushed_through_the_edge_becomes_a_snapshot(
    project: Project, tmp_path: Path
) -> None:
    # More than the gateway would take in one request.
    source = layout_of(tmp_path / "image", image((3 << 20, 60_000), seed=17))
    with project.client() as client:
        access = client.get("/docker-registry/registry-push-access").json()
        assert access["registryUrl"] == project.told["RATOON_HOST"]
        name = f"{access['registryUrl']}/{access['project']}/app:1"
        login = f"{access['username']}:{access['secret']}"
        words = ("copy", "--dest-creds", login, source, f"docker://{name}")
        certificates = ("--dest-cert-dir", str(project.base / "certificates"))
        pushed = _skopeo(project, *words, *certificates)
        assert pushed.returncode == 0, pushed.stderr
        made = _made(client, {"name": "pushed", "imageName": name})
    assert made["state"] == "active", made


async def test_a_context_goes_through_the_edge_by_signed_requests_alone(project: Project) -> None:
    with project.client() as client:
        access = client.get("/object-storage/push-access").json()
    assert access["storageUrl"] == f"https://{project.told['RATOON_HOST']}"
    store = S3Store(
        bucket=access["bucket"],
        endpoint=access["storageUrl"],
        region="us-east-1",
        access_key_id=access["accessKey"],
        secret_access_key=access["secret"],
        session_token=access["sessionToken"],
        client_options={"root_certificate": project.authority.read_bytes()},
    )
    key, data = f"{access['organizationId']}/{'a' * 64}/context.tar", os.urandom(8 << 20)
    await store.put_async(key, data)
    assert bytes((await store.get_async(key)).bytes()) == data
    host = project.told["RATOON_HOST"]
    tls = ssl.create_default_context(cafile=project.authority)
    for path in (f"/{access['bucket']}/{key}", f"/{access['bucket']}"):
        connection = http.client.HTTPSConnection(host, context=tls, timeout=20)
        connection.request("GET", path)
        assert connection.getresponse().status == 403, path
        connection.close()
    # Neither other buckets nor the issue of credentials are there for clients.
    for method, path in (("POST", "/"), ("GET", "/other"), ("GET", "/ratoon-contexts2/x")):
        connection = http.client.HTTPSConnection(host, context=tls, timeout=20)
        connection.request(method, path)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (404, "ROUTE_NOT_FOUND")
        connection.close()


def test_a_dockerfile_is_built_on_what_was_pushed(project: Project, tmp_path: Path) -> None:
    source = layout_of(tmp_path / "base", a_base())
    with project.client() as client:
        access = client.get("/docker-registry/registry-push-access").json()
        name = f"{access['registryUrl']}/{access['project']}/base:1"
        login = f"{access['username']}:{access['secret']}"
        certificates = ("--dest-cert-dir", str(project.base / "certificates"))
        words = ("copy", "--dest-creds", login, *certificates, source, f"docker://{name}")
        pushed = _skopeo(project, *words)
        assert pushed.returncode == 0, pushed.stderr
        text = f"FROM {name}\nRUN echo built > /built\n"
        made = _made(client, {"name": "built", "buildInfo": {"dockerfileContent": text}})
        assert made["state"] == "active", client.get(f"/snapshots/{made['id']}/build-logs").text


def test_what_the_builder_kept_is_the_workers_too(project: Project) -> None:
    """Root writes there as well: everything must be open to the group that both have."""
    store = project.volume("store")
    assert list((store / "blobs" / "sha256").iterdir())
    for path in store.rglob("*"):
        mode = path.stat().st_mode
        assert mode & 0o040, path
        assert not path.is_dir() or mode & 0o070 == 0o070 or path.stat().st_uid == 0, path


def test_no_secret_is_in_any_log(project: Project) -> None:
    logs = "".join(path.read_text() for path in project.base.glob("*.log"))
    for name in ("contexts-secret-key", "postgres-password"):
        assert project.secret(name).read_text().strip() not in logs
    assert project.key not in logs
