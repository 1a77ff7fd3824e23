"""Where telemetry goes and which headers it carries; settings under trial, of which it may be a part."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chassis.errors import Kind, Refusal

MASK = "******"
_SCHEMES = frozenset({"http", "https", "grpc", "grpcs"})
_LONGEST_ENDPOINT = 2_048
_MOST_HEADERS, _LONGEST_NAME, _LONGEST_VALUE = 64, 256, 4_096
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~]+")
_MOST_BYTES, _DEEPEST = 64 * 1024, 32


class OtelEndpointInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "OTEL_ENDPOINT_INVALID"


class OtelHeadersInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "OTEL_HEADERS_INVALID"


class OtelConfigNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "OTEL_CONFIG_NOT_FOUND"


class ExperimentalConfigInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "EXPERIMENTAL_CONFIG_INVALID"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """An endpoint and the headers to send along, as a client asks for them."""

    endpoint: str
    headers: Mapping[str, str]

    def needs_stored(self) -> bool:
        return any(map(_is_masked, self.headers.values()))

    def merged(self, stored: Mapping[str, str]) -> dict[str, str]:
        """Return the headers, those that are masked with their stored values; masked ones without are left out."""
        merged = {n: stored.get(n, "") if _is_masked(v) else v for n, v in self.headers.items()}
        return {name: value for name, value in merged.items() if value}


def telemetry(endpoint: str, headers: Mapping[str, str]) -> Telemetry:
    """Check what a client asks for; headers with a blank name or value are left out."""
    endpoint = endpoint.strip()
    _check_endpoint(endpoint)
    kept = {name.strip(): value.strip() for name, value in headers.items()}
    kept = {name: value for name, value in kept.items() if name and value}
    if len(kept) > _MOST_HEADERS:
        raise OtelHeadersInvalid(f"there may be at most {_MOST_HEADERS} headers")
    for name, value in kept.items():
        if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            raise OtelHeadersInvalid("a header's name consists of letters, digits and -._ and such")
        if len(value) > _LONGEST_VALUE or not _VALUE.fullmatch(value):
            raise OtelHeadersInvalid(f"the value of {name} is too long or cannot be sent")
    return Telemetry(endpoint, kept)


def experimental(text: str) -> tuple[str, Telemetry | None]:
    """Return settings under trial as they are kept, and the telemetry that is a part of them."""
    if len(text.encode(errors="replace")) > _MOST_BYTES:
        raise ExperimentalConfigInvalid(f"the settings may be at most {_MOST_BYTES} bytes")
    message = f"the settings are a JSON object, at most {_DEEPEST} levels deep"
    try:
        read = json.loads(text)
        _check_storable(read, _DEEPEST)
        otel = read.pop("otel", None) if isinstance(read, dict) else None
        kept = json.dumps(read, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        kept.encode()
    except (ValueError, RecursionError):
        raise ExperimentalConfigInvalid(message) from None
    if not isinstance(read, dict):
        raise ExperimentalConfigInvalid(message)
    return kept, None if otel is None else _part(otel)


def _part(otel: Any) -> Telemetry:
    if not isinstance(otel, dict) or not isinstance(endpoint := otel.get("endpoint"), str):
        raise OtelEndpointInvalid("otel.endpoint is an address")
    headers = otel.get("headers") or {}
    if not isinstance(headers, dict):
        raise OtelHeadersInvalid("otel.headers is an object")
    return telemetry(endpoint, {n: v for n, v in headers.items() if isinstance(v, str)})


def _check_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        plain = endpoint.isascii() and endpoint.isprintable() and " " not in endpoint
        fine = parts.scheme in _SCHEMES and bool(parts.hostname) and "@" not in parts.netloc
        # Reading it is checking it.
        fine = fine and parts.port != 0
    except ValueError:
        plain = fine = False
    if not (plain and fine) or len(endpoint) > _LONGEST_ENDPOINT:
        message = (
            "the endpoint is an http, https or grpc address with a host and without credentials"
        )
        raise OtelEndpointInvalid(message)


def _is_masked(value: str) -> bool:
    return set(value) == {"*"}


def _check_storable(value: Any, left: int) -> None:
    """Refuse what PostgreSQL cannot hold or makes large: a NUL, deep nesting, numbers that it writes out."""
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("a NUL")
    if isinstance(value, float) and value and not 1e-30 < abs(value) < 1e30:
        raise ValueError("too many digits")
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    if isinstance(inner, list):
        if left == 0:
            raise ValueError("too deep")
        for each in inner:
            _check_storable(each, left - 1)
