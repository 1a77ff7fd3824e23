"""The request as an operation sees it: its caller, its body, its way to the services."""

import asyncio
import re
from functools import lru_cache
from typing import Any, TypeVar

import grpc
import msgspec
from grpc.aio import UnaryStreamMultiCallable, UnaryUnaryMultiCallable
from starlette.requests import Request

from chassis.grpc.access import Rule
from chassis.grpc.caller import Caller, CallerInvalid
from chassis.grpc.status import error_info
from gateway.auth import Established, Metadata, Presented
from gateway.clients import Services
from gateway.errors import Problem
from gateway.visit import SCOPE_KEY, Visit

BODY_LIMIT = 1 << 20
BODY_SECONDS = 20.0
_METADATA_LIMIT = 256
# Lists are bare arrays: where one page ends and the next begins is said beside them.
PAGE_SIZE, PAGE_TOKEN, NEXT_PAGE_TOKEN = b"x-page-size", b"x-page-token", b"x-next-page-token"
_LARGEST_PAGE = 1_000
# A revision of ours, be it that its quotes were lost on the way; weak ones never match in If-Match.
_ETAG = re.compile(rb'(")?(\d{1,18})(?(1)")')
_IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
_HEADERS = (
    (b"user-agent", "ratoon-user-agent"),
    (b"x-daytona-source", "ratoon-source"),
)
_decode = msgspec.json.Decoder().decode
_Ask = TypeVar("_Ask")
_Answer = TypeVar("_Answer")


class Call(Request):
    """One request after it was let in; a handler asks for it by this type."""

    def __init__(self, scope: Any, receive: Any) -> None:
        super().__init__(scope, receive)
        self.visit: Visit = scope[SCOPE_KEY]
        self.rule: Rule | None = None
        self.presented: Presented | None = None
        self.established: Established | None = None
        self._raw = b""

    @property
    def services(self) -> Services:
        return self.visit.gateway.services

    @property
    def caller(self) -> Caller:
        """Who calls. Only where a rule demands somebody."""
        assert self.established is not None
        return self.established.caller

    @property
    def idempotency_key(self) -> str:
        """The client's Idempotency-Key; empty without one."""
        sent = self.visit.incoming.get(b"idempotency-key")
        if sent is None:
            return ""
        if not _IDEMPOTENCY_KEY.fullmatch(sent):
            message = "Idempotency-Key: 1 to 255 visible ASCII characters"
            raise Problem(400, "IDEMPOTENCY_KEY_INVALID", message)
        return sent.decode()

    @property
    def if_revision(self) -> int | None:
        """The revision that the client's If-Match names; None without one, or for any (`*`)."""
        sent = self.visit.incoming.get(b"if-match", b"*").strip()
        if sent == b"*":
            return None
        if not (found := _ETAG.fullmatch(sent)):
            message = "If-Match: one ETag as it was answered, or *"
            raise Problem(400, "IF_MATCH_INVALID", message)
        return int(found[2])

    @property
    def page_size(self) -> int:
        """How many items the client wants of a list at a time; 0: all."""
        sent = self.visit.incoming.get(PAGE_SIZE, b"0").strip()
        if not sent.isdigit() or not int(sent[:9]) <= _LARGEST_PAGE:
            message = f"X-Page-Size: 1 to {_LARGEST_PAGE}"
            raise Problem(400, "PAGE_SIZE_INVALID", message)
        return int(sent)

    @property
    def page_token(self) -> str:
        """Where the page before ended, as the client was told; empty: from the beginning."""
        return self.visit.incoming.get(PAGE_TOKEN, b"").strip().decode("latin-1")

    def say_next_page(self, token: str) -> None:
        """Tell the client how to ask for the next page; an empty token: there is none."""
        if token:
            self.visit.outgoing.append((NEXT_PAGE_TOKEN, token.encode()))

    def say_revision(self, revision: int) -> None:
        """Tell the client the ETag of what is answered."""
        self.visit.outgoing.append((b"etag", b'"%d"' % revision))

    async def rpc(self, method: UnaryUnaryMultiCallable[_Ask, _Answer], message: _Ask) -> _Answer:
        """Call a service in the caller's name; once more with a new token if it does not accept the first."""
        try:
            return await method(message, metadata=self._metadata())
        except grpc.aio.AioRpcError as failure:
            if self.presented is None or not _token_refused(failure):
                raise
        gateway = self.visit.gateway
        gateway.authenticator.forget(self.presented)
        self.established = await gateway.authenticator.establish(self.presented, self.origin)
        return await method(message, metadata=self._metadata())

    def begin(
        self, method: UnaryStreamMultiCallable[_Ask, _Answer], message: _Ask
    ) -> grpc.aio.UnaryStreamCall[_Ask, _Answer]:
        """Begin a stream in the caller's name."""
        return method(message, metadata=self._metadata())

    async def load(self) -> None:
        """Read the body and parse it, within limits of size and time."""
        declared = self.visit.incoming.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:20]) > BODY_LIMIT:
            raise _too_large()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                self._raw = await self._read()
        except TimeoutError:
            message = "the body did not arrive in time"
            raise Problem(408, "BODY_TIMEOUT", message, {"connection": "close"}) from None
        if self._raw:
            self._json = _parsed(self._raw)

    async def body(self) -> bytes:
        return self._raw

    async def json(self) -> Any:
        return self._json

    async def _read(self) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Problem(400, "BODY_INCOMPLETE", "the client went away")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > BODY_LIMIT:
                raise _too_large()
            chunks.append(chunk)
            if not message.get("more_body"):
                return b"".join(chunks)

    def origin(self) -> Metadata:
        """Return the metadata that says from where this request comes."""
        return origin_of(self.visit)

    def _metadata(self) -> Metadata:
        if self.established is None:
            return (*self.visit.gateway.identity.metadata(), *self.origin())
        return (self.established.metadata, *self.origin())


def origin_of(visit: Visit) -> Metadata:
    """Return the metadata that says from where a request comes."""
    incoming = visit.incoming
    said = [(name, plain(incoming[header])) for header, name in _HEADERS if header in incoming]
    request, source = (
        ("x-request-id", visit.request_id),
        ("ratoon-source-address", visit.address),
    )
    return (request, source, *said)


@lru_cache(maxsize=1024)
def plain(value: bytes) -> str:
    """Return a header's value as gRPC metadata can carry it: visible ASCII, not too long."""
    text = value[:_METADATA_LIMIT].decode("latin-1")
    return "".join(c if " " <= c <= "~" else "?" for c in text).strip()


def _parsed(raw: bytes) -> Any:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Problem(400, "BODY_MALFORMED", "the body is not valid JSON") from None


def _too_large() -> Problem:
    message = f"the body is larger than {BODY_LIMIT} bytes"
    return Problem(413, "BODY_TOO_LARGE", message, {"connection": "close"})


def _token_refused(failure: grpc.aio.AioRpcError) -> bool:
    return (
        failure.code() is grpc.StatusCode.UNAUTHENTICATED
        and error_info(failure).reason == CallerInvalid.reason
    )
