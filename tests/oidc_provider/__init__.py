"""A certified OpenID provider, run as a program of its own, and its public client, as a command line is one."""

import hashlib
import secrets
import subprocess
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.prerequisites import PROVIDER, node

AUDIENCE = "https://api.ratoon.example"
REDIRECT = "http://localhost:3009/callback"
_MOST_REDIRECTS = 10
_SERVER = Path(__file__).with_name("server.mjs")


class Provider:
    """The provider; started again it has other keys and the same address."""

    def __init__(self) -> None:
        self.port = 0
        self._generation = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._generation += 1
        command = [*node(), str(_SERVER), str(PROVIDER), str(self.port), str(self._generation)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        # Said when it listens; the end of the stream says that it died.
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def token(self, login: str, **changes: Any) -> str:
        """Return an access token: the browser logs in, the command line takes it from there."""
        return str(self.tokens(login, **changes)["access_token"])

    def tokens(
        self,
        login: str,
        *,
        client_id: str = "daytona",
        audience: str = AUDIENCE,
        wrong_verifier: bool = False,
    ) -> dict[str, Any]:
        """Run the authorization code flow with PKCE and return what the token endpoint answers."""
        verifier = secrets.token_urlsafe(48)
        with httpx.Client(timeout=30) as browser:
            published = browser.get(f"{self.url}/.well-known/openid-configuration").json()
            code = _code(browser, published, login, client_id, audience, verifier)
            answer = browser.post(
                published["token_endpoint"],
                data={
                    "grant_type": "authorization_code",
                    "client_id": client_id,
                    "code": code,
                    "redirect_uri": REDIRECT,
                    "code_verifier": secrets.token_urlsafe(48) if wrong_verifier else verifier,
                },
            )
        said: dict[str, Any] = answer.json()
        return said


def _code(
    browser: httpx.Client,
    published: dict[str, Any],
    login: str,
    client_id: str,
    audience: str,
    verifier: str,
) -> str:
    """Follow the browser from the authorization endpoint to the redirect, and return the code it brings."""
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    state = secrets.token_urlsafe(16)
    answer = browser.get(
        published["authorization_endpoint"],
        params={
            "client_id": client_id,
            "response_type": "code",
            "redirect_uri": REDIRECT,
            "scope": "openid offline_access profile",
            "prompt": "consent",
            "audience": audience,
            "state": state,
            "login_hint": login,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        },
    )
    for _ in range(_MOST_REDIRECTS):
        if answer.headers["location"].startswith(REDIRECT):
            break
        answer = browser.get(answer.url.join(answer.headers["location"]))
    brought = parse_qs(urlsplit(answer.headers["location"]).query)
    assert brought["state"] == [state]
    return brought["code"][0]
