"""Bearer tokens: asked for, kept, renewed, never shown to others."""

import time
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest

from services.snapshots.images.auth import Credentials
from services.snapshots.images.failures import Code
from tests.images import encoded, image
from tests.integration.snapshots.images.conftest import Bench
from tests.integration.snapshots.images.scripted import (
    Exchange,
    Reply,
    Request,
    ScriptedRegistry,
    broken_off,
)


@dataclass
class TokenGuard:
    """Gives tokens at /token and lets in who shows one that is still good."""

    host: str
    life: float | None = None
    credentials: str | None = None
    good: set[str] = field(default_factory=set)
    given: int = 0
    key: str = "token"

    def __call__(self, request: Request) -> Reply | None:
        if request.path == "/token":
            return self._give(request)
        if request.headers.get("authorization", "").removeprefix("Bearer ") in self.good:
            return None
        return Reply(
            401,
            headers={
                "WWW-Authenticate": (
                    f'Bearer realm="http://{self.host}/token?x=1",service="reg, istry",'
                    'scope="repository:a/b:pull",error="invalid_token"'
                )
            },
        )

    def _give(self, request: Request) -> Reply:
        if self.credentials and request.headers.get("authorization") != self.credentials:
            return Reply(401)
        assert parse_qs(request.query)["service"] == ["reg, istry"]
        assert parse_qs(request.query)["scope"] == ["repository:a/b:pull"]
        assert parse_qs(request.query)["x"] == ["1"]
        self.given += 1
        token = f"token-{self.given}"
        self.good.add(token)
        life = {} if self.life is None else {"expires_in": self.life}
        return Reply(200, encoded({self.key: token, **life}))


@pytest.fixture
def guard(scripted: ScriptedRegistry) -> TokenGuard:
    scripted.guard = guard = TokenGuard(scripted.host)
    return guard


@pytest.mark.parametrize("key", ["token", "access_token"])
async def test_one_token_serves_the_whole_pull(
    scripted: ScriptedRegistry, guard: TokenGuard, bench: Bench, key: str
) -> None:
    guard.key = key
    scripted.serve(image([5_000] * 8, seed=61))

    await bench.pull(f"{scripted.host}/a/b:1")

    assert guard.given == 1
    refused = [
        request for request in scripted.asked("/v2/") if "authorization" not in request.headers
    ]
    assert len(refused) == 1


async def test_a_token_refused_in_mid_download_is_renewed(
    scripted: ScriptedRegistry, guard: TokenGuard, bench: Bench
) -> None:
    made = image([2_000_000], seed=62)
    scripted.serve(made)
    cut = broken_off(1_000_000)

    async def expire(exchange: Exchange) -> None:
        guard.good.clear()
        await cut(exchange)

    scripted.instead(f"/blobs/{made.layers[0].digest}", expire)

    await bench.pull(f"{scripted.host}/a/b:1")

    assert guard.given == 2
    assert await bench.store.verify(made.layers[0].digest)
    assert scripted.requests[-1].headers["range"] == "bytes=1000000-"
    assert scripted.requests[-1].headers["authorization"] == "Bearer token-2"


async def test_many_downloads_renew_a_token_once(
    scripted: ScriptedRegistry, guard: TokenGuard, bench: Bench
) -> None:
    made = image([50_000] * 6, seed=63)
    scripted.serve(made)

    async def forget(exchange: Exchange) -> None:
        guard.good.clear()
        await exchange.send(exchange.proper)

    scripted.instead(f"/blobs/{made.config.digest}", forget)

    await bench.pull(f"{scripted.host}/a/b:1")

    assert guard.given == 2


async def test_a_token_is_renewed_before_it_expires(
    scripted: ScriptedRegistry, guard: TokenGuard, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.life = 100
    made = image(seed=64)
    scripted.serve(made)
    clock = time.monotonic

    async def later(exchange: Exchange) -> None:
        monkeypatch.setattr("services.snapshots.images.auth.time.monotonic", lambda: clock() + 95)
        await exchange.send(exchange.proper)

    scripted.instead(f"/blobs/{made.config.digest}", later)

    await bench.pull(f"{scripted.host}/a/b:1")

    assert guard.given == 2
    assert len([r for r in scripted.asked("/v2/") if "authorization" not in r.headers]) == 1


async def test_credentials_buy_the_token_and_go_nowhere_else(
    scripted: ScriptedRegistry, guard: TokenGuard, bench: Bench
) -> None:
    guard.credentials = "Basic " + b64encode(b"me:secret word").decode()
    scripted.serve(image(seed=65))

    await bench.pull(
        f"{scripted.host}/a/b:1", credentials=lambda _: Credentials("me", "secret word")
    )
    refused = await bench.failure(
        f"{scripted.host}/a/b:1", credentials=lambda _: Credentials("me", "other word")
    )

    assert refused.code is Code.REGISTRY_UNAUTHORIZED
    assert "other word" not in repr(refused)
    for request in scripted.asked("/v2/"):
        assert not request.headers.get("authorization", "").startswith("Basic")
    assert parse_qs(scripted.asked("/token")[0].query)["account"] == ["me"]


async def test_a_fresh_token_that_is_refused_is_final(
    scripted: ScriptedRegistry, guard: TokenGuard, bench: Bench
) -> None:
    scripted.serve(image(seed=66))
    scripted.instead("/manifests/", guard(Request("GET", "/v2/", "", {})) or Reply(), Reply(401))

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert (failure.code, failure.transient) == (Code.REGISTRY_UNAUTHORIZED, False)
    assert guard.given == 1


@pytest.mark.parametrize(
    ("reply", "code", "transient"),
    [
        (Reply(200, b"<html>"), Code.REGISTRY_PROTOCOL, False),
        (Reply(200, b"[1]"), Code.REGISTRY_PROTOCOL, False),
        (Reply(200, b"{}"), Code.REGISTRY_PROTOCOL, False),
        (Reply(200, b'{"token": 5}'), Code.REGISTRY_PROTOCOL, False),
        (Reply(200, rb'{"token": "a\r\nX-Evil: 1"}'), Code.REGISTRY_PROTOCOL, False),
        (Reply(200, b'{"token": "' + b"x" * 70_000 + b'"}'), Code.REGISTRY_PROTOCOL, False),
        (Reply(403), Code.REGISTRY_UNAUTHORIZED, False),
        (Reply(429), Code.REGISTRY_RATE_LIMITED, True),
        (Reply(503), Code.REGISTRY_ERROR, True),
    ],
)
async def test_what_a_token_server_may_do_wrong(
    scripted: ScriptedRegistry,
    guard: TokenGuard,
    bench: Bench,
    reply: Reply,
    code: Code,
    transient: bool,
) -> None:
    scripted.serve(image(seed=67))
    scripted.instead("/token", *[reply for _ in range(5)])

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert (failure.code, failure.transient) == (code, transient)


@pytest.mark.parametrize(
    ("asks", "code"),
    [
        ('Bearer realm="http://tokens.example/t"', Code.REGISTRY_TLS),
        ('Bearer realm="file:///etc/shadow"', Code.REGISTRY_PROTOCOL),
        ('Bearer realm="https://[x/"', Code.REGISTRY_PROTOCOL),
        ('Bearer service="no realm"', Code.REGISTRY_UNAUTHORIZED),
        ('Digest realm="x", nonce="y"', Code.REGISTRY_UNAUTHORIZED),
        ("", Code.REGISTRY_UNAUTHORIZED),
    ],
)
async def test_challenges_nobody_should_follow(
    scripted: ScriptedRegistry, bench: Bench, asks: str, code: Code
) -> None:
    scripted.guard = lambda _request: Reply(401, headers={"WWW-Authenticate": asks})

    failure = await bench.failure(
        f"{scripted.host}/a/b:1", credentials=lambda _: Credentials("me", "secret word")
    )

    assert (failure.code, failure.transient) == (code, False)
    assert len(scripted.requests) == 1
