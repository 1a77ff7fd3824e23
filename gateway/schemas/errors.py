"""The shape of errors, as it is documented."""

from typing import Any

from pydantic import Field

from gateway.schemas.base import Answer


class Error(Answer):
    """What every refusal and failure looks like."""

    path: str = Field(description="The path that was asked for")
    timestamp: str = Field(description="When it was refused, ISO 8601 in UTC")
    status_code: int = Field(description="The HTTP status again")
    error: str = Field(description="The HTTP reason phrase")
    message: str = Field(description="What is wrong, for people")
    code: str = Field(description="What is wrong, for programs; stable")
    source: str = Field(description="Always DAYTONA_API")


_SAID = {
    400: "The request is not acceptable",
    401: "No credential, or not a valid one of an accepted kind",
    403: "The caller may not do this",
    404: "There is no such thing, or none that the caller may know of",
    408: "The body did not arrive in time",
    409: "It conflicts with what is there",
    412: "It was changed since the revision that If-Match names",
    413: "The body is too large",
    429: "Too many requests; Retry-After says when to come again",
    500: "An unforeseen failure",
    503: "A part of the system is away, or the installation is in maintenance",
    504: "A part of the system did not answer in time",
}
_ALWAYS = (429, 500, 503, 504)


def errors(
    *statuses: int, body: bool = False, public: bool = False
) -> dict[int | str, dict[str, Any]]:
    """Declare the errors of an operation: those named, and those its kind implies."""
    implied = (*_ALWAYS, *(() if public else (401, 403)), *((400, 408, 413) if body else ()))
    found = sorted({*statuses, *implied})
    return {status: {"model": Error, "description": _SAID[status]} for status in found}
