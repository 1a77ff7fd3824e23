"""Small translations: moments, paths, header values, errors."""

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.exceptions import HTTPException

from chassis.errors import Kind, Refusal
from gateway.call import plain
from gateway.errors import path_of, problem_of
from gateway.limits.windows import Windows
from gateway.paths import SegmentConvertor, keep_slashes
from gateway.schemas.base import iso
from gateway.settings import Settings

STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "UNIMPLEMENTED": 501,
}


@pytest.mark.parametrize(
    ("seconds", "nanos", "expected"),
    [
        (0, 0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600, 999_999_999, "2026-01-01T00:00:00.999Z"),
        (253_402_300_799, 1_000_000, "9999-12-31T23:59:59.001Z"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00.000Z"),
    ],
)
def test_moments(seconds: int, nanos: int, expected: str) -> None:
    assert iso(Timestamp(seconds=seconds, nanos=nanos)) == expected
    parsed = datetime.fromisoformat(expected)
    assert parsed.tzinfo == UTC


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_its_status(kind: Kind) -> None:
    refused = type("Refused", (Refusal,), {"kind": kind, "reason": "WHY"})("for people")
    problem = problem_of(refused)
    assert (problem.status, problem.code) == (STATUSES[kind.value], "WHY")


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        (grpc.StatusCode.UNAVAILABLE, 503, "UNAVAILABLE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, "DEADLINE_EXCEEDED"),
        (grpc.StatusCode.UNIMPLEMENTED, 501, "UNIMPLEMENTED"),
        (grpc.StatusCode.INTERNAL, 500, "INTERNAL"),
        (grpc.StatusCode.UNKNOWN, 500, "INTERNAL"),
        (grpc.StatusCode.DATA_LOSS, 500, "INTERNAL"),
    ],
)
def test_what_no_service_meant_to_say_is_not_repeated(
    code: grpc.StatusCode, status: int, said: str
) -> None:
    metadata = grpc.aio.Metadata()
    failure = grpc.aio.AioRpcError(code, metadata, metadata, details="at 10.0.0.1: secret")
    problem = problem_of(failure)
    assert (problem.status, problem.code) == (status, said)
    assert "secret" not in problem.message


def test_anything_else_is_unforeseen() -> None:
    for failure in (ValueError("x"), HTTPException(418), KeyError()):
        assert problem_of(failure).status == 500


def _scope(raw: str, query: str = "") -> dict[str, Any]:
    return {"path": raw, "raw_path": raw.encode(), "query_string": query.encode()}


def test_a_path_is_told_without_what_is_not_published() -> None:
    assert (
        path_of(_scope("/api/a%2Fb", "page=1&token=s&name=%ff+x"))
        == "/api/a%2Fb?page=1&name=%EF%BF%BD+x"
    )
    assert path_of(_scope("/api", "access_token=s")) == "/api"
    assert len(path_of(_scope("/" + "x" * 9_000))) == 2_000


def test_encoded_slashes_stay_in_their_segment() -> None:
    scope = _scope("/api/snapshots/a%2Fb%20c%2f/activate")
    keep_slashes(scope)
    *_, segment, last = scope["path"].split("/")
    assert (SegmentConvertor().convert(segment), last) == ("a/b c/", "activate")
    plainly = _scope("/api/x%20y")
    keep_slashes(plainly)
    assert plainly["path"] == "/api/x%20y"


def test_a_header_becomes_plain() -> None:
    assert plain(b" a\tb\x00\xff ") == "a?b??"
    assert len(plain(b"x" * 999)) == 256


def test_windows_forget_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.limits.windows.SUBJECTS", 2)
    windows = Windows(60)
    for subject in ("a", "b", "b", "c"):
        windows.hit(subject)
    assert windows.hit("b")[0] == 3
    assert windows.hit("a")[0] == 1


def test_a_window_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("gateway.limits.windows.time.monotonic", lambda: now)
    windows = Windows(10)
    assert windows.hit("a") == (1, 10)
    now += 9.5
    assert windows.hit("a") == (2, 1)
    now += 1
    assert windows.hit("a") == (1, 10)


def test_settings_are_read_under_both_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDENTITY_FILE", "AUTH_TARGET", "ORGS_TARGET", "SNAPSHOTS_TARGET"):
        monkeypatch.setenv(f"GATEWAY_{name}", "x")
    monkeypatch.setenv("GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8, unix")
    monkeypatch.setenv("GATEWAY_PUBLIC_URL", "https://api.example/")
    monkeypatch.setenv("RATE_LIMIT_AUTHENTICATED_TTL", "60")
    monkeypatch.setenv("RATE_LIMIT_AUTHENTICATED_LIMIT", "")
    monkeypatch.setenv("VERSION", "9.9.9")
    settings = Settings()  # type: ignore[call-arg]  # the environment gives them
    assert settings.trusted_proxies == ("10.0.0.0/8", "unix")
    assert settings.public_url == "https://api.example"
    assert (settings.authenticated_ttl, settings.authenticated_limit) == (60, None)
    assert settings.version == "9.9.9"
