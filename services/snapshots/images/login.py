"""Shows a registry what is kept for it, without wanting anything of it."""

import asyncio
from dataclasses import dataclass

from services.snapshots.images import answers, challenge
from services.snapshots.images.auth import Authorizer, Credentials
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.http import Http
from services.snapshots.images.reference import endpoint_of

# Whoever waits for the answer gives up a little later.
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Login:
    """How it went, in a stable word and in words for people."""

    ok: bool
    code: str
    reason: str


async def log_in(http: Http, host: str, credentials: Credentials | None) -> Login:
    """Say whether the registry lets in whoever shows these credentials (None: none)."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            asked = await _present(http, host, credentials)
    except TimeoutError:
        reason = f"{host} did not answer within {_PATIENCE_SECONDS:.0f} seconds"
        return Login(False, Code.REGISTRY_TIMEOUT, reason)
    except PullFailed as failure:
        return Login(False, failure.code, failure.reason)
    if not asked:
        return Login(True, "OPEN", "the registry asks for no credentials; these were not checked")
    return Login(True, "OK", "the registry accepts the credentials")


async def _present(http: Http, host: str, credentials: Credentials | None) -> bool:
    """Log in; return whether the registry asked for credentials at all."""
    url = http.url(endpoint_of(host), "/v2/")
    authorizer = Authorizer(http, credentials, scope="")
    async with http.get(url, headers={}, authorization=None) as answer:
        if answer.status == 200:
            return False
        if answer.status != 401 or not answer.from_origin:
            raise await answers.refusal(answer, "the login")
        asked = challenge.parse(answer.headers.getall("WWW-Authenticate", []))
    sent = await authorizer.answer(url, asked, None)
    async with http.get(url, headers={}, authorization=sent) as answer:
        if answer.status != 200:
            raise await answers.refusal(answer, "the login")
    return True
