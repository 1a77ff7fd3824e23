"""Answers a registry's challenges on behalf of one pull."""

import asyncio
import math
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from services.snapshots.images import answers, documents
from services.snapshots.images.challenge import Challenge
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.http import Http, joined

_LARGEST_TOKEN = 64 << 10
# What a token without `expires_in` is good for; the token protocol says so.
_DEFAULT_LIFE = 60.0
# A token is renewed while it still has this share of its life, so that none dies on the way.
_RENEWAL = 0.1


@dataclass(frozen=True, slots=True)
class Credentials:
    username: str
    password: str = field(repr=False)


# What to present to a host (`docker.io` for Docker Hub); None: nothing, come as anybody.
CredentialsFor = Callable[[str], Credentials | None]


@dataclass(frozen=True, slots=True)
class _Grant:
    """What a token is for."""

    realm: str
    service: str
    scope: str


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    good_until: float


class Authorizer:
    """Keeps what one registry gave one caller. Many requests may use it at once."""

    def __init__(self, http: Http, credentials: Credentials | None, *, scope: str) -> None:
        self._http, self._credentials, self._scope = http, credentials, scope
        self._basic: str | None = None
        self._grant: _Grant | None = None
        self._tokens: dict[_Grant, _Token] = {}
        self._lock = asyncio.Lock()

    async def authorization(self) -> str | None:
        """What to send with the next request; a token about to expire is renewed first."""
        if self._grant is None:
            return self._basic
        async with self._lock:
            return (await self._token(self._grant)).header

    async def answer(self, url: str, challenges: list[Challenge], refused: str | None) -> str:
        """What to send instead of `refused`; raises REGISTRY_UNAUTHORIZED when there is nothing."""
        async with self._lock:
            for challenge in challenges:
                if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                    return await self._bearer(url, challenge, refused)
            schemes = [challenge.scheme for challenge in challenges]
            if "basic" in schemes and self._credentials and refused is None:
                self._basic = _basic(self._credentials)
                return self._basic
            raise PullFailed(Code.REGISTRY_UNAUTHORIZED, self._why(schemes))

    async def _bearer(self, url: str, challenge: Challenge, refused: str | None) -> str:
        asked = challenge.parameters
        grant = _Grant(
            joined(url, asked["realm"]),
            asked.get("service", ""),
            asked.get("scope") or self._scope,
        )
        # Unless another request has renewed it meanwhile, what was refused is worth nothing.
        if (known := self._tokens.get(grant)) and known.header == refused:
            del self._tokens[grant]
        self._grant = grant
        return (await self._token(grant)).header

    async def _token(self, grant: _Grant) -> _Token:
        token = self._tokens.get(grant)
        if token is None or time.monotonic() >= token.good_until:
            token = self._tokens[grant] = await self._fetch(grant)
        return token

    async def _fetch(self, grant: _Grant) -> _Token:
        query = {"service": grant.service, "scope": grant.scope}
        if self._credentials:
            query["account"] = self._credentials.username
        joint = "&" if "?" in grant.realm else "?"
        url = (
            grant.realm + joint + urlencode({name: value for name, value in query.items() if value})
        )
        basic = _basic(self._credentials) if self._credentials else None
        asked = time.monotonic()
        async with self._http.get(url, headers={}, authorization=basic) as answer:
            if answer.status != 200:
                raise await answers.refusal(answer, "a token")
            body = await answer.read(_LARGEST_TOKEN)
        return _read_token(body, answer.host, asked)

    def _why(self, schemes: list[str]) -> str:
        if self._credentials:
            return "the registry refuses these credentials"
        if "basic" in schemes:
            return "the registry wants credentials, and there are none for it"
        return "the registry refuses access and offers no way to authenticate that is known here"


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + b64encode(pair).decode()


def _read_token(body: bytes | None, host: str, asked: float) -> _Token:
    try:
        document = documents.loads(body or b"", "token")
        token = documents.text(document, "token", "token") or documents.text(
            document, "access_token", "token"
        )
    except PullFailed:
        token = ""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise PullFailed(Code.REGISTRY_PROTOCOL, f"{host} gave no usable token") from None
    life = document.get("expires_in")
    if isinstance(life, bool) or not isinstance(life, int | float) or not 0 < life < math.inf:
        life = _DEFAULT_LIFE
    return _Token(f"Bearer {token}", asked + life * (1 - _RENEWAL))
