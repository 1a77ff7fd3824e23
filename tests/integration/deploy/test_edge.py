"""Envoy in front of the gateway: its configuration is valid, and requests come through as they should."""

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from deploy.local.binaries import find_envoy
from deploy.local.certificates import ensure
from deploy.local.edge import CONFIGURATION, configuration
from tests.integration.deploy.harness import Installation, install, kill_and_wait


@pytest.fixture(scope="module")
def edge() -> Iterator[Installation]:
    installation = install()
    try:
        started = installation.start("--edge")
        assert started.returncode == 0, started.stderr
        assert "through Envoy" in started.stdout
        yield installation
    finally:
        installation.remove()


@pytest.mark.parametrize("rendered", [False, True])
def test_envoy_accepts_the_configuration(tmp_path: Path, rendered: bool) -> None:
    path = tmp_path / "envoy.yaml"
    text = configuration("127.0.0.1", 8080, "127.0.0.1", 8081)
    if not rendered:
        ensure(tmp_path / "tls")
        text = CONFIGURATION.read_text()
        for secret, file in (("edge-certificate", "server.pem"), ("edge-key", "server-key.pem")):
            text = text.replace(f"/run/secrets/{secret}", str(tmp_path / "tls" / file))
    path.write_text(text)
    done = subprocess.run(
        [find_envoy(), "--mode", "validate", "-c", path, "-l", "warning"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stdout
    assert "warning" not in done.stderr


def _ask(
    edge: Installation, path: str, method: str = "GET", body: bytes = b"", **headers: str
) -> tuple[http.client.HTTPResponse, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=20)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers=sent)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return answer, found


def _seen(found: Any) -> dict[str, str]:
    return dict(found["headers"])


def test_a_request_reaches_the_gateway(edge: Installation) -> None:
    answer, found = _ask(edge, "/api/snapshots?page=1", authorization="Bearer x")
    assert answer.status == 200
    assert found["line"] == "GET /api/snapshots?page=1 HTTP/1.1"
    assert _seen(found)["authorization"] == "Bearer x"


def test_the_gateway_believes_the_edge_about_the_client(edge: Installation) -> None:
    pid = edge.pids()["gateway"]
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    assert "GATEWAY_TRUSTED_PROXIES=127.0.0.1/32" in environment


def test_what_only_our_own_may_say_is_removed(edge: Installation) -> None:
    _, found = _ask(
        edge,
        "/api/x",
        x_forwarded_for="6.6.6.6",
        forwarded="for=6.6.6.6",
        x_real_ip="6.6.6.6",
        x_forwarded_host="evil.example.com",
        ratoon_caller="forged",
    )
    seen = _seen(found)
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert not {"forwarded", "x-real-ip", "x-forwarded-host", "ratoon-caller"} & set(seen)


def test_every_request_has_an_id(edge: Installation) -> None:
    answer, found = _ask(edge, "/api/x")
    assert len(_seen(found)["x-request-id"]) == 36
    assert answer.headers["x-request-id"] == _seen(found)["x-request-id"]
    _, kept = _ask(edge, "/api/x", x_request_id="0f8fad5b-d9cb-469f-a165-70867728950e")
    assert _seen(kept)["x-request-id"] == "0f8fad5b-d9cb-469f-a165-70867728950e"


def test_other_paths_are_not_found_in_the_usual_shape(edge: Installation) -> None:
    for path in ("/", "/apix", "/admin"):
        answer, found = _ask(edge, path)
        assert answer.status == 404
        assert set(found) == {
            "path",
            "timestamp",
            "statusCode",
            "error",
            "message",
            "code",
            "source",
        }
        assert (found["path"], found["statusCode"], found["source"]) == (path, 404, "DAYTONA_API")


def test_a_huge_body_is_refused(edge: Installation) -> None:
    answer, found = _ask(edge, "/api/snapshots", "POST", b"x" * (2 << 20))
    assert (answer.status, found["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("client", ["curl", "requests", "httpx"])
def test_the_usual_clients_hear_so_however_huge_it_is(edge: Installation, client: str) -> None:
    url, body = f"http://127.0.0.1:{edge.port}/api/snapshots", b"x" * (24 << 20)
    if client == "curl":
        command = ["curl", "-sS", "-H", "Expect:", "--data-binary", "@-", url]
        done = subprocess.run(command, input=body, capture_output=True, timeout=60, check=True)
        found = json.loads(done.stdout)
    elif client == "requests":
        found = requests.post(url, data=body, timeout=60).json()
    else:
        found = httpx.post(url, content=body, timeout=60).json()
    assert (found["statusCode"], found["code"]) == (413, "BODY_TOO_LARGE")


def test_a_websocket_is_passed_on(edge: Installation) -> None:
    with socket.create_connection(("127.0.0.1", edge.port), timeout=20) as connection:
        connection.sendall(
            b"GET /api/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        with connection.makefile("rb") as stream:
            answer = stream.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert _seen(json.loads(body))["sec-websocket-version"] == "13"


def test_the_access_log_has_no_queries(edge: Installation) -> None:
    _ask(edge, "/api/logged?token=very-secret")
    with edge.popen("logs", "--follow", "-n", "1000", "edge") as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "/api/logged" in line)
        process.kill()
    entry = json.loads(line)
    assert (entry["path"], entry["status"], entry["method"]) == ("/api/logged", 200, "GET")
    assert "very-secret" not in (edge.home / "logs" / "edge.log").read_text()


def test_the_access_log_has_no_tokens(edge: Installation) -> None:
    place = "/api/organizations/otel-config/by-sandbox-auth-token/"
    _ask(edge, place + "hush-hush")
    with edge.popen("logs", "--follow", "-n", "1000", "edge") as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if place in line)
        process.terminate()
    assert json.loads(line[line.index("{") :])["path"] == place + "***"
    assert "hush-hush" not in (edge.home / "logs" / "edge.log").read_text()


def test_envoy_comes_back(edge: Installation) -> None:
    kill_and_wait(edge.pids()["edge"])
    assert edge.status(wait=60)["state"] == "healthy"
    assert _ask(edge, "/api/x")[0].status == 200
