"""One attempt to hand a message over: to an address that may be called and to no other, within limits."""

import asyncio
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from services.orgs.domain.webhooks import Failure, Outcome, Reach, host_refused

# Shorter than a lease: what takes longer has failed before somebody else tries.
SECONDS = 15.0
# Of an answer only the status counts; one that is short is read, so that the connection can be used again.
_MOST_ANSWERED = 16 * 1024
# Names that are slow to resolve must not keep others waiting for a thread.
_RESOLVING_AT_ONCE = 256
_HEADERS = {"content-type": "application/json", "user-agent": "Ratoon-Webhooks/1"}


class AddressRefused(OSError):
    """Nothing may be sent there."""


class Sender:
    """Follows no redirects, keeps no cookies, knows no proxies."""

    def __init__(self, reach: Reach, seconds: float = SECONDS) -> None:
        self._reach = reach
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None
        self._resolver = CheckedResolver(reach)

    async def send(self, url: str, payload: str, headers: dict[str, str]) -> Outcome:
        """Try once; never raises but when it is cancelled."""
        began = time.monotonic()
        status, failure = 0, None
        try:
            async with asyncio.timeout(self._seconds):
                status = await self._attempt(url, payload.encode(), headers)
            if not 200 <= status < 300:
                failure = Failure.HTTP_STATUS
        except Exception as raised:  # noqa: BLE001 - whatever goes wrong is what came of the attempt
            failure = failure_of(raised)
        return Outcome(status, failure, int((time.monotonic() - began) * 1000))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    async def _attempt(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        parts = urlsplit(url)
        if host_refused(parts.hostname or "", self._reach):
            raise AddressRefused
        if parts.scheme != "https" and not self._reach.allow_http:
            raise AddressRefused
        posting = self._open().post(
            url, data=body, headers={**_HEADERS, **headers}, allow_redirects=False
        )
        async with posting as answer:
            if (answer.content_length or _MOST_ANSWERED) < _MOST_ANSWERED:
                await answer.content.read(_MOST_ANSWERED)
            return answer.status

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                resolver=self._resolver,
                # Resolved anew for each connection, and checked then.
                use_dns_cache=False,
                socket_factory=self._socket,
                keepalive_timeout=15.0,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None),
                max_line_size=8_190,
                max_field_size=8_190,
            )
        return self._session

    def _socket(self, place: tuple[Any, ...]) -> socket.socket:
        """Open a socket for a place that is about to be connected to: the last look at where that is."""
        family, kind, protocol, _, address = place
        if self._reach.refuses(str(address[0])):
            raise AddressRefused("this address is not called")
        return socket.socket(family, kind, protocol)


class CheckedResolver(AbstractResolver):
    """Names to addresses that may be called; refused when a name has no such address."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._threads = ThreadPoolExecutor(_RESOLVING_AT_ONCE, "webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        )
        fine = [place for place in found if not self._reach.refuses(str(place[4][0]))]
        if found and not fine:
            raise AddressRefused("this name stands for addresses that are not called")
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=family_,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family_, _, protocol, _, address in fine
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def failure_of(raised: BaseException) -> Failure:
    """Say what went wrong, in a word that holds nothing of what was sent."""
    chain: list[BaseException] = []
    cause: BaseException | None = raised
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = getattr(cause, "os_error", None) or cause.__cause__ or cause.__context__
    if any(isinstance(c, AddressRefused) for c in chain):
        return Failure.ADDRESS_REFUSED
    if isinstance(raised, TimeoutError):
        return Failure.TIMEOUT
    if any(isinstance(c, socket.gaierror) for c in chain):
        return Failure.NAME_UNRESOLVED
    if any(isinstance(c, ssl.SSLError | ssl.CertificateError) for c in chain):
        return Failure.TLS_FAILED
    if isinstance(raised, OSError | aiohttp.ClientConnectionError):
        return Failure.CONNECTION_FAILED
    return Failure.PROTOCOL_ERROR
