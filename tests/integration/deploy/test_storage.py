"""The storage for build contexts under the supervisor: it keeps what it took, whatever happens to it."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from obstore.store import S3Store

from bench import usage
from deploy.local.certificates import ensure
from deploy.local.state import Home
from tests.integration.deploy.conftest import Install
from tests.integration.deploy.harness import Installation, free_port, kill_and_wait

ON = {"RATOON_OBJECT_STORAGE": "on"}


def _told(one: Installation) -> dict[str, str]:
    """Return what the process that serves snapshots was told of the storage."""
    prefix = "SNAPSHOTS_CONTEXTS_"
    told = usage.environment(one.process("snapshots")["pid"])
    return {k.removeprefix(prefix): v for k, v in told.items() if k.startswith(prefix)}


def _bucket(told: dict[str, str]) -> S3Store:
    return S3Store(
        bucket=told["BUCKET"],
        endpoint=told["ENDPOINT"],
        region=told["REGION"],
        access_key_id=told["ACCESS_KEY"],
        secret_access_key=told["SECRET_KEY"],
        # It answers before it has all of its volumes.
        retry_config={
            "max_retries": 100,
            "backoff": {"max_backoff": timedelta(milliseconds=500)},
            "retry_timeout": timedelta(seconds=30),
        },
        client_options={"root_certificate": Path(told["CA_FILE"]).read_bytes()},
    )


def _shown(told: dict[str, str]) -> dict[str, Any]:
    """Return the certificate that the storage shows to whoever trusts the authority."""
    host, _, port = told["ENDPOINT"].removeprefix("https://").partition(":")
    context = ssl.create_default_context(cafile=told["CA_FILE"])
    with (
        socket.create_connection((host, int(port)), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        return dict(wrapped.getpeercert() or {})


def test_it_keeps_what_it_took_and_its_authority(fresh: Install) -> None:
    one = fresh(**ON)
    # Made long ago: the certificate would end within days.
    ensure(Home(one.home).tls, datetime.now(UTC) - timedelta(days=25))
    authority = (one.home / "secrets" / "tls" / "ca.pem").read_bytes()
    started = one.start()
    assert started.returncode == 0, started.stderr
    told = _told(one)
    ends = ssl.cert_time_to_seconds(_shown(told)["notAfter"])
    assert ends > (datetime.now(UTC) + timedelta(days=28)).timestamp()
    _bucket(told).put("a/context.tar", b"x" * 100_000)
    # At once after its answer.
    kill_and_wait(one.process("storage")["pid"])
    assert one.status(wait=60)["state"] == "healthy"
    assert len(_bucket(told).get("a/context.tar").bytes()) == 100_000
    assert one.run("down").returncode == 0
    # Elsewhere the next time.
    one.port = free_port()
    assert one.start().returncode == 0
    moved = _told(one)
    assert moved["ENDPOINT"] != told["ENDPOINT"]
    assert len(_bucket(moved).get("a/context.tar").bytes()) == 100_000
    assert (one.home / "secrets" / "tls" / "ca.pem").read_bytes() == authority
    assert moved["SECRET_KEY"] == told["SECRET_KEY"]


def test_the_operators_own_storage_comes_first(fresh: Install) -> None:
    one = fresh(**ON, SNAPSHOTS_CONTEXTS_ENDPOINT="https://s3.example")
    assert one.start().returncode == 0
    assert "storage" not in {p["name"] for p in one.status()["processes"]}
    assert _told(one) == {"ENDPOINT": "https://s3.example"}


def test_it_can_be_left_out(fresh: Install) -> None:
    one = fresh(**ON)
    assert one.start("--no-object-storage").returncode == 0
    assert "storage" not in {p["name"] for p in one.status()["processes"]}
    assert _told(one) == {}
