"""Every answer that is an error: one shape, one table."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode

import grpc
import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from chassis.errors import Refusal
from chassis.grpc.status import error_info

_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
# HTTP has a status of its own for a condition that the client itself has set.
_STATUS_OF_REASON = {"REVISION_MISMATCH": 412}
# Said when the failure was no refusal: what a service wrote then is not for the public.
_NEUTRAL = {
    400: "the request cannot be accepted",
    401: "a valid credential is required",
    403: "this is not allowed",
    404: "there is no such thing",
    409: "the request conflicts with what is there",
    429: "too many requests",
    500: "something went wrong here; it has been logged under the request id",
    501: "this is not offered by this installation",
    503: "temporarily unavailable; try again",
    504: "this took too long; try again",
}
_CODES = {400: "REQUEST_INVALID", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}
_MESSAGE_LIMIT = 2_000
_PATH_LIMIT = 2_000
# What the published operations take in a query. Anything else is not repeated: it may be a secret gone astray.
_QUERY = frozenset(
    {
        "page",
        "limit",
        "name",
        "sort",
        "order",
        "sourceSandboxId",
        "follow",
        "unusedForDays",
        "regionId",
    }
)
# What follows in such a path is a sandbox's secret: neither an answer nor a log repeats it.
_HIDDEN_BEHIND = "/api/organizations/otel-config/by-sandbox-auth-token/"


class ErrorBody(msgspec.Struct, rename="camel"):
    """The published five fields, and two more for programs."""

    path: str
    timestamp: str
    status_code: int
    error: str
    message: str
    code: str
    source: str = "DAYTONA_API"


class Problem(Exception):
    """An answer that only the edge itself can give."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


_encode = msgspec.json.Encoder().encode


def problem_of(failure: Exception) -> Problem:
    """Say in public words what failed. Status 500: nobody foresaw it, and the caller of this has to log it."""
    if isinstance(failure, Problem):
        return failure
    if isinstance(failure, Refusal):
        status = _STATUS_OF_REASON.get(failure.reason, _STATUS[failure.kind.value])
        return Problem(status, failure.reason, failure.message, _challenge(status))
    if isinstance(failure, grpc.aio.AioRpcError):
        return _of_status(failure)
    if isinstance(failure, RequestValidationError):
        return Problem(400, "REQUEST_INVALID", _violations(failure))
    if isinstance(failure, HTTPException) and failure.status_code in _NEUTRAL:
        return _neutral(failure.status_code)
    return _neutral(500)


def answer(problem: Problem, scope: Any) -> Response:
    """Return the response to `scope` that states the problem."""
    body = ErrorBody(
        path=path_of(scope),
        timestamp=datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        status_code=problem.status,
        error=HTTPStatus(problem.status).phrase,
        message=problem.message[:_MESSAGE_LIMIT],
        code=problem.code,
    )
    return Response(_encode(body), problem.status, problem.headers, "application/json")


def path_of(scope: Any) -> str:
    """Return the request's path as it was sent, with those query parameters that are published."""
    raw: bytes = scope.get("raw_path") or b"/"
    path = raw.decode("latin-1")
    if scope["path"].startswith(_HIDDEN_BEHIND):
        return _HIDDEN_BEHIND + "***"
    query = scope.get("query_string") or b""
    if query:
        known = [(k, v) for k, v in parse_qsl(query.decode("latin-1")) if k in _QUERY]
        if known:
            path += "?" + urlencode(known, encoding="utf-8", errors="replace")
    return path[:_PATH_LIMIT]


def _of_status(failure: grpc.aio.AioRpcError) -> Problem:
    code = failure.code().name
    status = _STATUS.get(code, 500)
    reason = error_info(failure).reason
    if not reason:
        return _neutral(status, code)
    status = _STATUS_OF_REASON.get(reason, status)
    return Problem(
        status, reason, failure.details() or _NEUTRAL.get(status, ""), _challenge(status)
    )


def _neutral(status: int, code: str = "") -> Problem:
    public = _CODES.get(status) or code or HTTPStatus(status).name
    return Problem(status, public, _NEUTRAL[status], _challenge(status))


def _challenge(status: int) -> dict[str, str] | None:
    return {"www-authenticate": "Bearer"} if status == 401 else None


def _violations(failure: RequestValidationError) -> str:
    """Name what is wrong where. The values are not repeated."""
    said = []
    for error in failure.errors()[:20]:
        where = ".".join(str(part) for part in error["loc"][1:]) or "the body"
        said.append(f"{where[:200]}: {error['msg']}")
    return ", ".join(said)
