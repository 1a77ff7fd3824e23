"""HTTP as a registry client needs it: pooled, bounded in every direction, failures named."""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver
from yarl import URL

from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.outages import failure_of

_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 5
_READ_BUFFER = 512 << 10
_USER_AGENT = "ratoon"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds a registry may take, and the bytes per second below which it counts as stuck."""

    connect: float = 10
    silence: float = 30
    document: float = 60
    pace_window: float = 30
    slowest_pace: int = 4096


class Http:
    """Connections shared by every pull of a process. Holds no credentials and no cookies."""

    def __init__(
        self,
        *,
        insecure_hosts: frozenset[str] = frozenset(),
        extra_ca: Path | None = None,
        timeouts: Timeouts | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """`insecure_hosts` are the `host[:port]` that are spoken to in plain HTTP."""
        self.timeouts = timeouts or Timeouts()
        self._insecure = frozenset(host.lower() for host in insecure_hosts)
        self._extra_ca = extra_ca
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=self.timeouts.connect, sock_read=self.timeouts.silence
        )
        self._session = aiohttp.ClientSession(
            # No bound on connections here: pulls bound their own, and one that is stuck must not
            # keep the others waiting for a place.
            connector=aiohttp.TCPConnector(
                limit=0,
                ssl=_trust(self._extra_ca),
                # Named, because the default depends on what is installed, and with it the errors.
                resolver=self._resolver or aiohttp.ThreadedResolver(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=limits,
            read_bufsize=_READ_BUFFER,
            auto_decompress=False,
            headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def url(self, endpoint: str, path: str) -> str:
        scheme = "http" if endpoint.lower() in self._insecure else "https"
        return f"{scheme}://{endpoint}{path}"

    @asynccontextmanager
    async def get(
        self, url: str, *, headers: Mapping[str, str], authorization: str | None
    ) -> AsyncIterator["Answer"]:
        """GET, following redirects. Only the host asked first ever sees `authorization`."""
        origin = _origin(self._checked(url))
        for _ in range(_MOST_REDIRECTS + 1):
            here = self._checked(url)
            sent = dict(headers)
            if authorization is not None and _origin(here) == origin:
                sent["Authorization"] = authorization
            async with self._ask(url, here, sent) as response:
                if response.status not in _REDIRECTS:
                    yield Answer(response, here, _origin(here) == origin, self.timeouts)
                    return
                url = joined(url, response.headers.get("Location", ""))
        raise PullFailed(Code.REGISTRY_PROTOCOL, f"{here.netloc} redirects without an end")

    @asynccontextmanager
    async def _ask(
        self, url: str, here: SplitResult, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._session is not None, "used outside `async with`"
        request = self._session.get(URL(url, encoded=True), headers=headers, allow_redirects=False)
        with _named(here.netloc):
            # Headers that trickle in would reset the limit on silence for ever.
            async with asyncio.timeout(self.timeouts.document):
                response = await request
        async with response:
            yield response

    def _checked(self, url: str) -> SplitResult:
        """Refuse what a registry must not send us to."""
        try:
            parts = urlsplit(url)
            usable = bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or not url.isascii() or not url.isprintable() or " " in url:
            raise PullFailed(
                Code.REGISTRY_PROTOCOL, "the registry sends us to an impossible address"
            )
        if parts.username is not None or parts.scheme not in ("http", "https"):
            raise PullFailed(Code.REGISTRY_PROTOCOL, "the registry sends us to a forbidden address")
        if parts.scheme == "http" and parts.netloc.lower() not in self._insecure:
            reason = f"{parts.netloc} would be spoken to without encryption, which is not allowed"
            raise PullFailed(Code.REGISTRY_TLS, reason)
        return parts


class Answer:
    """A response whose headers are here and whose body is still to be read."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        source: SplitResult,
        from_origin: bool,
        timeouts: Timeouts,
    ) -> None:
        self.status = response.status
        self.headers = response.headers
        self.host = source.netloc
        # Whether the host that was asked gave it, not one it redirected to.
        self.from_origin = from_origin
        self._response, self._timeouts = response, timeouts

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        return self._response.content_length

    async def read(self, limit: int) -> bytes | None:
        """The whole body, in bounded time; None if it is larger than `limit`."""
        data = bytearray()
        with _named(self.host):
            async with asyncio.timeout(self._timeouts.document):
                while chunk := await self._response.content.readany():
                    data += chunk
                    if len(data) > limit:
                        return None
        return bytes(data)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes; refused when it comes too slowly to ever end."""
        pace = _Pace(self._timeouts)
        while True:
            with _named(self.host):
                start = time.monotonic()
                chunk = await self._response.content.readany()
                pace.add(len(chunk), time.monotonic() - start)
            if not chunk:
                return
            yield chunk


class _Pace:
    """Watches how fast bytes come; only time spent waiting for them counts."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._window = timeouts.pace_window
        self._least = timeouts.slowest_pace * timeouts.pace_window
        self._bytes, self._waited = 0, 0.0

    def add(self, count: int, waited: float) -> None:
        self._bytes += count
        self._waited += waited
        if self._waited < self._window:
            return
        if self._bytes < self._least:
            raise TimeoutError
        self._bytes, self._waited = 0, 0.0


@contextmanager
def _named(host: str) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise failure_of(error, host) from error


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def joined(url: str, location: str) -> str:
    """Where `location`, given by the host of `url`, leads."""
    try:
        return urljoin(url, location)
    except ValueError as error:
        reason = "the registry sends us to an impossible address"
        raise PullFailed(Code.REGISTRY_PROTOCOL, reason) from error


def _trust(extra_ca: Path | None) -> ssl.SSLContext | bool:
    """The system's certificate authorities (certifi's where the system has none), and one more."""
    paths = ssl.get_default_verify_paths()
    system = paths.cafile or paths.capath
    if system and extra_ca is None:
        return True  # the library has read just these already, which is slow
    context = ssl.create_default_context(cafile=None if system else certifi.where())
    if extra_ca is not None:
        context.load_verify_locations(cafile=extra_ca)
    return context
