"""Builds and their logs in the whole system, by the published client, by curl, and with a token."""

import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bench.system import System
from tests.bases import a_base
from tests.e2e.tenants import Issuing
from tests.prerequisites import client_python
from tests.registry import Registry

_SCRIPT = Path(__file__).parent / "clients" / "sdk_build.py"
_SECONDS = 60
_FROM_FILES = Path(__file__).parent / "clients" / "sdk_context_build.py"


@pytest.fixture(scope="module")
def base(registry: Registry) -> str:
    registry.push("base", "1", a_base())
    return f"{registry.host}/base:1"


class Gate:
    """What a step asks for and gets only when the test says so."""

    def __init__(self) -> None:
        self.open = threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gate.open.wait(60)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    thread = threading.Thread(target=gate.server.serve_forever)
    thread.start()
    yield gate
    gate.open.set()
    gate.server.shutdown()
    thread.join()
    gate.server.server_close()


def _build(system: System, text: str, **more: Any) -> dict[str, Any]:
    body = {"name": f"b-{uuid4().hex[:8]}", "buildInfo": {"dockerfileContent": text}, **more}
    answer = system.client.post("/snapshots", json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


@contextmanager
def _followed(system: System, url: str) -> Iterator[Iterator[str]]:
    """Give the lines of a log as curl shows them."""
    command = ["curl", "-sN", "-H", f"Authorization: Bearer {system.key}", f"{url}?follow=true"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        yield (line.rstrip("\n") for line in curl.stdout)


def test_the_client_sees_the_whole_log(system: System, base: str) -> None:
    done = subprocess.run(
        [str(client_python("sdk")), str(_SCRIPT)],
        env={"PATH": os.environ["PATH"], "URL": system.url, "KEY": system.key, "IMAGE": base},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["state"] == "active"
    assert seen["entrypoint"] == ["sleep", "infinity"]
    for words in ("STEP 1/3", "hello from the build", "and goodbye", "COMMIT"):
        assert words in seen["log"]
    assert "exit code 7" in seen["failed"]
    assert "STEP 2/2: RUN exit 7" in seen["failing"]
    assert "BUILD_STEP_FAILED" in seen["failing"]


def test_the_client_builds_from_local_files(system: System, base: str, tmp_path: Path) -> None:
    """Upload, build, store: with nothing but the client and the command that has it trust the storage."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "main.py").write_text("print('here')\n")
    name = f"files-{uuid4().hex[:8]}"
    told = {"URL": system.url, "KEY": system.key, "IMAGE": base, "FOLDER": str(folder)}
    done = subprocess.run(
        [system.program, "trust", "--", str(client_python("sdk")), str(_FROM_FILES)],
        env={**system.environment, **told, "NAME": name},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["state"] == "active"
    assert "COPY" in "".join(seen["logs"])
    made = system.client.get(f"/snapshots/{name}").json()
    assert len(made["buildInfo"]["contextHashes"]) == 1


def test_what_is_in_no_storage_is_named(system: System, base: str) -> None:
    missing = "0" * 64
    info = {"dockerfileContent": f"FROM {base}\nCOPY x /x\n", "contextHashes": [missing]}
    body = {"name": f"b-{uuid4().hex[:8]}", "buildInfo": info}
    made = system.client.post("/snapshots", json=body).json()
    log = system.client.get(f"/snapshots/{made['id']}/build-logs", params={"follow": "true"})
    assert missing in log.text
    failed = system.client.get(f"/snapshots/{made['id']}").json()
    assert (failed["state"], failed["errorCode"]) == ("build_failed", "CONTEXT_MISSING")
    assert missing in failed["errorReason"]


def test_a_log_is_seen_live_and_ends_with_the_build(system: System, base: str, gate: Gate) -> None:
    text = f"FROM {base}\nRUN echo one; wget -q -O /dev/null {gate.url}; echo two\n"
    made = _build(system, text)
    ref = "daytona-" + hashlib.sha256(text.encode()).hexdigest() + ":daytona"
    info = made["buildInfo"]
    assert made["state"] == "building"
    assert (info["snapshotRef"], info["dockerfileContent"]) == (ref, text)
    assert (info["contextHashes"], made["imageName"]) == ([], "")
    assert info["createdAt"].endswith("Z")
    url = system.client.get(f"/snapshots/{made['id']}/build-logs-url").json()["url"]
    with _followed(system, url) as lines:
        seen = []
        for line in lines:
            seen.append(line)
            if line == "one":
                # It is here while the step that said it still runs.
                now = system.client.get(f"/snapshots/{made['id']}").json()
                assert now["state"] == "building"
                # How far it is is written down now and then.
                assert now["progress"]["phase"] in ("resolving", "building")
                gate.open.set()
    assert {"one", "two"} <= set(seen)
    done = system.client.get(f"/snapshots/{made['id']}").json()
    assert done["state"] == "active"
    assert done["buildInfo"]["snapshotRef"] == ref
    listed = system.client.get("/snapshots", params={"name": made["name"]}).json()["items"]
    assert listed == [done]
    _can_be_resumed(system, url, seen)
    # The same once more is there at once, with the same log.
    again = _build(system, text)
    assert (again["state"], again["ref"], again["size"]) == ("active", done["ref"], done["size"])
    assert again["buildInfo"] == done["buildInfo"]


def _can_be_resumed(system: System, url: str, seen: list[str]) -> None:
    whole = system.client.get(url).content
    assert whole.decode().splitlines() == seen
    for offset in (0, 1, len(whole) // 2, len(whole), len(whole) + 5):
        rest = system.client.get(url, params={"offset": offset, "follow": "true"})
        assert (rest.status_code, rest.content) == (200, whole[offset:])
    for query in ({"follow": "maybe"}, {"offset": -1}, {"offset": 2**63}, {"offset": "x"}):
        assert system.client.get(url, params=query).status_code == 400


def test_a_log_ends_when_its_snapshot_is_deleted(system: System, base: str, gate: Gate) -> None:
    made = _build(system, f"FROM {base}\nRUN echo begun; wget -q -O /dev/null {gate.url}\n")
    url = f"{system.url}/snapshots/{made['name']}/build-logs"
    with _followed(system, url) as lines:
        for line in lines:
            if line == "begun":
                system.client.delete(f"/snapshots/{made['id']}").raise_for_status()
    assert not gate.open.is_set()


def test_with_a_token_and_for_nobody_else(issuing: Issuing) -> None:
    owner, stranger = issuing.person(), issuing.person()
    shop = issuing.organization(owner)
    body = {"name": "b", "buildInfo": {"dockerfileContent": "RUM nothing\n"}}
    made = issuing.post("/snapshots", owner.token, body, shop)
    assert made["state"] == "building"
    path = f"/snapshots/{made['id']}/build-logs"
    log = issuing.request("GET", f"{path}?follow=true", owner.token, shop)
    assert "DOCKERFILE_INVALID" in log.text
    failed = issuing.get(f"/snapshots/{made['id']}", owner.token, shop)
    assert (failed["state"], failed["errorCode"]) == ("build_failed", "DOCKERFILE_INVALID")
    for ref in (made["id"], str(uuid4())):
        answer = httpx.get(
            f"{issuing.system.url}/snapshots/{ref}/build-logs",
            headers={
                "Authorization": f"Bearer {stranger.token}",
                "X-Daytona-Organization-ID": stranger.personal,
            },
            timeout=60,
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "SNAPSHOT_NOT_FOUND")


def _until(system: System, path: str, what: str, wanted: Any) -> dict[str, Any]:
    """Return what is shown at a path once `what` of it is so."""
    deadline = time.monotonic() + _SECONDS
    while (shown := system.client.get(path).json())[what] != wanted:
        assert time.monotonic() < deadline, shown
    found: dict[str, Any] = shown
    return found


def test_a_version_is_built_under_the_same_name(system: System, base: str, gate: Gate) -> None:
    made = _build(system, f"FROM {base}\nRUN echo the first\n")
    path = f"/snapshots/{made['id']}"
    first = _until(system, path, "state", "active")
    text = f"FROM {base}\nRUN echo one; wget -q -O /dev/null {gate.url}; echo two\n"
    info = {"dockerfileContent": text}
    headers = {"Idempotency-Key": f"again-{made['id']}"}
    for _ in range(2):
        asked = system.client.post(f"{path}/image", json={"buildInfo": info}, headers=headers)
        assert asked.status_code == 200, asked.text
        assert (asked.json()["number"], asked.json()["state"]) == (2, "building")
    url = system.client.get(f"{path}/build-logs-url").json()["url"]
    seen = []
    with _followed(system, url) as lines:
        for line in lines:
            seen.append(line)
            if line == "one":
                assert system.client.get(f"/snapshots/{made['name']}").json() == first
                gate.open.set()
    assert {"one", "two"} <= set(seen)
    now = _until(system, path, "version", 2)
    assert (now["id"], now["state"], now["ref"] != first["ref"]) == (made["id"], "active", True)
    assert (now["buildInfo"]["dockerfileContent"], now["imageName"]) == (text, "")
    new, old = system.client.get(f"{path}/versions").json()
    assert (new["current"], new["buildRef"]) == (True, now["buildInfo"]["snapshotRef"])
    assert (old["state"], old["buildRef"]) == ("inactive", first["buildInfo"]["snapshotRef"])
    _fails_by_the_name_of_what_is_missing(system, path, base, now)
    back = system.client.post(f"{path}/versions/1/rollback")
    assert (back.status_code, back.json()["current"]) == (200, True)
    shown = system.client.get(path).json()
    assert (shown["ref"], shown["buildInfo"]) == (first["ref"], first["buildInfo"])


def _fails_by_the_name_of_what_is_missing(
    system: System, path: str, base: str, now: dict[str, Any]
) -> None:
    missing = "f" * 64
    info = {"dockerfileContent": f"FROM {base}\nCOPY x /x\n", "contextHashes": [missing]}
    asked = system.client.post(f"{path}/image", json={"buildInfo": info})
    assert asked.json()["number"] == 3
    log = system.client.get(f"{path}/build-logs", params={"follow": "true"})
    assert missing in log.text
    failed = system.client.get(f"{path}/versions").json()[0]
    assert (failed["state"], failed["errorCode"]) == ("error", "CONTEXT_MISSING")
    assert missing in failed["errorReason"]
    assert system.client.get(path).json() == now
    assert missing in system.client.get(f"{path}/build-logs").text
    first = system.client.get(f"{path}/build-logs", params={"version": 1})
    assert "the first" in first.text
    none = system.client.get(f"{path}/build-logs", params={"version": 9})
    assert (none.status_code, none.json()["code"]) == (404, "VERSION_NOT_FOUND")


def test_who_is_revoked_reads_no_more_of_a_log(system: System, base: str, gate: Gate) -> None:
    made = _build(system, f"FROM {base}\nRUN echo begun; wget -q -O /dev/null {gate.url}\n")
    name = f"reader-{uuid4().hex[:8]}"
    key = system.client.post("/api-keys", json={"name": name, "permissions": []}).json()["value"]
    url = f"{system.url}/snapshots/{made['id']}/build-logs"
    headers = {"Authorization": f"Bearer {key}"}
    read = b""
    with httpx.stream("GET", url, params={"follow": "true"}, headers=headers, timeout=60) as log:
        pieces = log.iter_bytes()
        while b"\nbegun\n" not in read:
            read += next(pieces)
        system.client.delete(f"/api-keys/{name}").raise_for_status()
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)
    assert not gate.open.is_set()
    system.client.delete(f"/snapshots/{made['id']}").raise_for_status()
