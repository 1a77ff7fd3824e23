"""The REST API as the commands call it: bounded in time and size, every failure in words."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

from deploy.local.org.failures import FAILED, UNAVAILABLE, USAGE, Refused, of_status, plain

_LARGEST = 64 << 20
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the API."""

    method: str
    path: str
    query: Mapping[str, Any]
    body: Mapping[str, Any] | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What it answered; no value: nothing."""

    value: Any
    headers: Mapping[str, str]


class Api:
    def __init__(self, url: str, key: str, seconds: float) -> None:
        self._url = _checked(url)
        self._seconds = seconds
        # What is on this machine is not asked by way of a proxy.
        self._client = httpx.Client(
            headers={"authorization": f"Bearer {key}", "user-agent": "ratoon-cli"},
            timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            trust_env=not _is_here(self._url),
        )

    def close(self) -> None:
        self._client.close()

    def ask(self, request: Request) -> Answer:
        """Return the answer; refused with what the API says, or with what kept it from answering."""
        with self._sent(request) as response:
            value = _parsed(self._read(response), response)
            return Answer(value, response.headers)

    def stream(self, request: Request) -> None:
        """Pass the answer on to standard output as it comes."""
        with self._sent(request) as response:
            for chunk in response.iter_bytes():
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()

    @contextmanager
    def _sent(self, request: Request) -> Iterator[httpx.Response]:
        """Open the answer, if it is a success; say in words what else happens until it is read."""
        try:
            with self._opened(request) as response:
                if not response.is_success:
                    again = response.headers.get("retry-after", "")
                    said = _lenient(self._read(response))
                    raise of_status(response.status_code, said, again)
                yield response
        except httpx.TimeoutException:
            raise _late(self._url, self._seconds) from None
        except httpx.TransportError as failure:
            why = plain(str(failure)) or type(failure).__name__
            raise Refused(f"{self._url} cannot be reached: {why}", UNAVAILABLE) from failure
        except httpx.DecodingError as failure:
            raise Refused(f"{self._url} answers something unreadable", FAILED) from failure

    def _opened(self, request: Request) -> AbstractContextManager[httpx.Response]:
        return self._client.stream(
            request.method,
            self._url + request.path,
            params=request.query or None,
            json=request.body,
            headers=request.headers,
        )

    def _read(self, response: httpx.Response) -> bytes:
        ends = time.monotonic() + self._seconds
        read = bytearray()
        for chunk in response.iter_bytes():
            read += chunk
            if len(read) > _LARGEST:
                message = (
                    f"the answer is larger than {_LARGEST >> 20} MiB: ask for less with --limit"
                )
                raise Refused(message, FAILED)
            if time.monotonic() > ends:
                raise _late(self._url, self._seconds)
        return bytes(read)


def _parsed(raw: bytes, response: httpx.Response) -> Any:
    if not raw.strip():
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        kind = plain(response.headers.get("content-type", "no type"))
        message = f"the answer is no JSON ({kind}): is this the address of the API?"
        raise Refused(message, FAILED) from None


def _lenient(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _late(url: str, seconds: float) -> Refused:
    return Refused(f"{url} has not answered within {seconds:g} s", UNAVAILABLE)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        fit = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fit = False
    if not fit or not url.isprintable() or "@" in url or "?" in url or "#" in url:
        raise Refused(
            f"{plain(url)!r} is no address of an API, such as http://host:3986/api", USAGE
        )
    return url.rstrip("/")


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
