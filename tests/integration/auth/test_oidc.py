"""People of an issuer: tokens verified with real keys, users made and kept in step."""

import asyncio
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from chassis.permissions import ALL, READ_SCOPES
from ratoon.access.v1 import access_pb2
from ratoon.auth.v1 import user_service_pb2
from services.auth.oidc import documents, keys
from services.auth.oidc.issuer import OidcIssuer
from services.auth.oidc.keys import Keys
from tests.fakes import OrgsServer
from tests.identities import Keyring
from tests.integration.auth.conftest import World, refusal, start
from tests.issuer import AUDIENCE, TestIssuer

INVALID = (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID")
FORBIDDEN = (grpc.StatusCode.PERMISSION_DENIED, "ORGANIZATION_FORBIDDEN")
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "ISSUER_UNAVAILABLE")


@pytest.fixture
def issuer(provider: TestIssuer) -> OidcIssuer:
    return OidcIssuer(Keys(provider.url), AUDIENCE)


@pytest.mark.parametrize("key", ["rsa", "ec"])
async def test_a_first_login_makes_user_and_personal_organization(
    world: World, provider: TestIssuer, key: str
) -> None:
    answer = await world.authenticate(provider.token(key))
    caller = answer.caller
    assert caller.credential == access_pb2.CREDENTIAL_KIND_OIDC
    assert (caller.user_id, caller.email, caller.email_verified) == (
        "auth0|ada",
        "ada@example.org",
        True,
    )
    assert (caller.organization_id, list(caller.permissions)) == ("", [])
    assert not answer.HasField("api_key")
    [told] = world.orgs.ensured
    assert (told.user_id, told.name, told.email_verified) == ("auth0|ada", "Ada", True)
    await world.authenticate(provider.token(key))
    assert len(world.orgs.ensured) == 1


async def test_twenty_first_logins_at_once_make_one_user(
    world: World, provider: TestIssuer
) -> None:
    token = provider.token()
    answers = await asyncio.gather(*(world.authenticate(token) for _ in range(20)))
    assert {a.caller.user_id for a in answers} == {"auth0|ada"}
    assert await world.database.pool.fetchval("SELECT count(*) FROM users") == 1
    told = "SELECT count(*) FROM outbox WHERE type = 'user_changed'"
    assert await world.database.pool.fetchval(told) == 1
    assert list(world.orgs.personal) == ["auth0|ada"]


async def test_a_login_that_died_in_between_is_mended_by_the_next(
    world: World, provider: TestIssuer
) -> None:
    world.orgs.away = True
    code, reason = await refusal(world.authenticate(provider.token()))
    assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "ORGANIZATIONS_UNAVAILABLE")
    assert await world.database.pool.fetchval("SELECT count(*) FROM users") == 1
    world.orgs.away = False
    await world.authenticate(provider.token())
    assert list(world.orgs.personal) == ["auth0|ada"]


async def test_a_person_acts_where_path_or_header_says(world: World, provider: TestIssuer) -> None:
    token = provider.token()
    await world.authenticate(token)
    own = world.orgs.organization("auth0|ada")
    joined = world.orgs.organization("boss", **{"auth0|ada": ("write:snapshots", "read:limits")})
    caller = (await world.authenticate(token, path=own, header=joined)).caller
    assert (caller.organization_id, set(caller.permissions)) == (own, set(ALL))
    caller = (await world.authenticate(token, header=joined)).caller
    assert caller.organization_role == access_pb2.ORGANIZATION_ROLE_MEMBER
    assert set(caller.permissions) == {"write:snapshots", "read:limits"} | READ_SCOPES
    foreign = world.orgs.organization("boss")
    for hint in (foreign, "x"):
        assert await refusal(world.authenticate(token, path=hint)) == FORBIDDEN
        assert await refusal(world.authenticate(token, header=hint)) == FORBIDDEN


async def test_a_changed_person_is_told_of(world: World, provider: TestIssuer) -> None:
    await world.authenticate(provider.token(name=None, email_verified=False))
    assert not world.orgs.ensured[0].email_verified
    caller = (await world.authenticate(provider.token())).caller
    assert caller.email_verified
    assert [e.email_verified for e in world.orgs.ensured] == [False, True]
    caller = (
        await world.authenticate(provider.token(email="new@example.org", email_verified=None))
    ).caller
    assert (caller.email, caller.email_verified) == ("new@example.org", False)
    rows = await world.database.pool.fetch(
        "SELECT payload->>'name', payload->>'email', payload->'email_verified' = 'true'"
        " FROM outbox WHERE type = 'user_changed' ORDER BY id"
    )
    assert [tuple(r) for r in rows] == [
        ("Unknown", "ada@example.org", False),
        ("Ada", "ada@example.org", True),
        ("Ada", "new@example.org", False),
    ]
    me = world.owner("auth0|ada", "")
    get = world.users.GetCurrentUser(user_service_pb2.GetCurrentUserRequest(), metadata=me)
    assert (await get).user.email == "new@example.org"


async def test_a_token_without_an_address_writes_nothing(
    world: World, provider: TestIssuer
) -> None:
    await world.authenticate(provider.token())
    before = await world.database.pool.fetch("SELECT xmin::text, * FROM users")
    silent = provider.token(email=None, email_verified=None, name="Other")
    caller = (await world.authenticate(silent)).caller
    assert (caller.email, caller.email_verified) == ("ada@example.org", True)
    await world.authenticate(provider.token())
    assert await world.database.pool.fetch("SELECT xmin::text, * FROM users") == before


async def test_changes_at_once_leave_one_truth(world: World, provider: TestIssuer) -> None:
    now = int(time.time())
    await world.authenticate(provider.token(iat=now - 100))
    tokens = [provider.token(email=f"a{i}@example.org", iat=now - 50 + i) for i in range(10)]
    await asyncio.gather(*(world.authenticate(t) for t in tokens))
    assert await world.database.pool.fetchval("SELECT email FROM users") == "a9@example.org"


async def test_an_issuer_speaks_for_nobody_who_was_made_here(
    world: World, provider: TestIssuer
) -> None:
    added, _ = await world.add_user("root@example.org", system_admin=True)
    ensured = len(world.orgs.ensured)
    await world.users.EnsureAdmin(
        user_service_pb2.EnsureAdminRequest(email="admin@example.org"),
        metadata=world.by("operator"),
    )
    for subject in (added.user.id, "ratoon-admin"):
        assert await refusal(world.authenticate(provider.token(sub=subject))) == INVALID
    assert len(world.orgs.ensured) == ensured + 1
    caller = (await world.authenticate(provider.token(email="root@example.org"))).caller
    assert caller.system_role == access_pb2.SYSTEM_ROLE_UNSPECIFIED


async def test_no_token_outlives_the_token_it_stands_on(world: World, provider: TestIssuer) -> None:
    ends = int(time.time()) + 20
    answer = await world.authenticate(provider.token(exp=ends))
    assert answer.expire_time.seconds == ends


NOW = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other"},
        {"aud": ["other", "ratoon-api-2"]},
        {"aud": None},
        {"iss": "http://127.0.0.1:1/realm"},
        {"iss": None},
        {"exp": NOW - 1},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": NOW + 3600},
        {"nbf": "x"},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"sub": "a\0b"},
        {"sub": "x" * 300},
    ],
)
async def test_claims_that_do_not_hold_are_refused(
    world: World, provider: TestIssuer, claims: dict[str, Any]
) -> None:
    assert await refusal(world.authenticate(provider.token(**claims))) == INVALID
    assert not world.orgs.ensured


async def test_clocks_may_differ_by_the_leeway_and_no_more(
    url: str, orgs_server: OrgsServer, keyring: Keyring, folder: Path, provider: TestIssuer
) -> None:
    issuer = OidcIssuer(Keys(provider.url), AUDIENCE, leeway=30)
    world, stop = await start(url, orgs_server, keyring, folder, issuer)
    now = int(time.time())
    late = await world.authenticate(provider.token(exp=now - 15, nbf=now - 60))
    assert late.expire_time.seconds == now + 15
    await world.authenticate(provider.token(nbf=now + 25))
    for token in (provider.token(exp=now - 31), provider.token(nbf=now + 60)):
        assert await refusal(world.authenticate(token)) == INVALID
    await stop()


async def test_no_issuer_names_a_service_account(world: World, provider: TestIssuer) -> None:
    organization = world.orgs.organization("boss")
    account = world.orgs.service_account(organization)
    assert await refusal(world.authenticate(provider.token(sub=account))) == INVALID
    assert not world.orgs.ensured


async def test_an_audience_may_be_one_of_many(world: World, provider: TestIssuer) -> None:
    answer = await world.authenticate(provider.token(aud=["other", AUDIENCE], nbf=NOW - 5))
    assert answer.caller.user_id == "auth0|ada"


async def test_signatures_that_do_not_hold_are_refused(world: World, provider: TestIssuer) -> None:
    public = RSAKey.import_key(provider.keys["rsa"].as_dict(private=False)).as_pem(private=False)
    good, other = provider.token(), provider.token(sub="auth0|eve")
    head, body, signature = good.split(".")
    unsigned = provider.token(OctKey.generate_key(256), alg="HS256").split(".")
    none = "eyJhbGciOiJub25lIiwia2lkIjoicnNhIn0"
    for forged in (
        provider.token(OctKey.generate_key(256), alg="HS256"),
        _signed_with_public_key(public, good),
        provider.token(RSAKey.generate_key(2048)),
        provider.token("ec", kid="rsa"),
        provider.token("rsa", kid="ec"),
        provider.token(ECKey.generate_key("P-256"), kid="ec"),
        provider.token("rsa", alg="PS256"),
        provider.token("rsa", alg="RS512"),
        provider.token(kid="unknown"),
        provider.token(kid=None),
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{unsigned[0]}.{body}.{signature}",
        f"{head}.{other.split('.')[1]}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-8]}",
    ):
        assert await refusal(world.authenticate(forged)) == INVALID, forged
    assert (await world.authenticate(good)).caller.user_id == "auth0|ada"


async def test_headers_of_other_software_stop_no_token_but_critical_ones_do(
    world: World, provider: TestIssuer
) -> None:
    await world.authenticate(provider.token(headers={"typ": "at+jwt", "x5t": "abc", "foo": 1}))
    for headers in ({"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}):
        head = _encode({"alg": "RS256", "kid": "rsa", **headers})
        body, signature = provider.token().split(".")[1:]
        assert await refusal(world.authenticate(f"{head}.{body}.{signature}")) == INVALID


def _signed_with_public_key(public: bytes, token: str) -> str:
    """Return the classic forgery: HS256, and for a secret what everybody knows."""
    signed = _encode({"alg": "HS256", "kid": "rsa"}) + "." + token.split(".")[1]
    return signed + "." + _b64(hmac.digest(public, signed.encode(), "sha256"))


def _encode(header: Any) -> str:
    return _b64(json.dumps(header).encode())


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "header",
    [
        [],
        {},
        {"alg": None},
        {"alg": ["RS256"]},
        {"alg": "RS256", "kid": {}},
        {"alg": "RS256", "kid": 5},
    ],
)
async def test_a_header_of_another_shape_is_refused(
    world: World, provider: TestIssuer, header: Any
) -> None:
    body, signature = provider.token().split(".")[1:]
    token = f"{_encode(header)}.{body}.{signature}"
    assert await refusal(world.authenticate(token)) == INVALID


async def test_a_key_that_is_new_is_fetched_but_not_for_every_stranger(
    world: World, provider: TestIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.authenticate(provider.token())
    once = len(provider.fetched)
    provider.keys["new"] = RSAKey.generate_key(2048, {"kid": "new"})
    for _ in range(3):
        assert await refusal(world.authenticate(provider.token("new"))) == INVALID
    assert len(provider.fetched) == once
    monkeypatch.setattr(keys, "_BETWEEN_SECONDS", 0.0)
    await world.authenticate(provider.token("new"))
    assert len(provider.fetched) == once * 2


async def test_while_the_issuer_is_down_old_keys_go_on(
    world: World, provider: TestIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.authenticate(provider.token())
    provider.status = 503
    monkeypatch.setattr(keys, "_BETWEEN_SECONDS", 0.0)
    assert await refusal(world.authenticate(provider.token(kid="unknown"))) == INVALID
    assert (await world.authenticate(provider.token())).caller.user_id == "auth0|ada"


async def test_while_there_never_were_keys_nobody_is_told_that_his_token_is_bad(
    world: World, provider: TestIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.status = 500
    assert await refusal(world.authenticate(provider.token())) == UNAVAILABLE
    provider.status = 200
    monkeypatch.setattr(keys, "_WITHOUT_KEYS_SECONDS", 0.0)
    assert (await world.authenticate(provider.token())).caller.user_id == "auth0|ada"


async def test_keys_of_other_kinds_cost_the_good_ones_nothing(
    world: World, provider: TestIssuer
) -> None:
    # A number of 1024 bits; that nobody holds its other half does not matter here.
    weak = {"kty": "RSA", "kid": "weak", "n": "8" + "A" * 170, "e": "AQAB"}
    provider.extra = [
        *(5, None, {}, {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "AA"}),
        {"kty": "RSA", "kid": "broken", "n": "AA", "e": "%"},
        {"kty": "EC", "crv": "P-256", "kid": "off", "x": "AA", "y": "AA"},
        weak,
        {**provider.keys["rsa"].as_dict(private=False), "kid": "enc", "use": "enc"},
        {**provider.keys["rsa"].as_dict(private=False), "kid": "ps", "alg": "PS256"},
    ]
    await world.authenticate(provider.token())
    for kid in ("enc", "ps", "weak"):
        assert await refusal(world.authenticate(provider.token("rsa", kid=kid))) == INVALID


async def test_without_a_key_id_the_only_key_serves(world: World, provider: TestIssuer) -> None:
    del provider.keys["ec"]
    answer = await world.authenticate(provider.token(kid=None))
    assert answer.caller.user_id == "auth0|ada"


@pytest.mark.parametrize(
    "published", [[], {"issuer": 5, "jwks_uri": "x"}, {"issuer": "i", "jwks_uri": "file:///x"}]
)
async def test_a_configuration_that_is_none_is_an_issuer_that_is_away(
    world: World, provider: TestIssuer, monkeypatch: pytest.MonkeyPatch, published: Any
) -> None:
    monkeypatch.setattr(provider, "_answer", lambda _path: published)
    assert await refusal(world.authenticate(provider.token())) == UNAVAILABLE


async def test_documents_are_bounded(provider: TestIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "_answer", lambda _path: {"x": "y" * (2 << 20)})
    with pytest.raises(documents.Unfetchable):
        await documents.fetch(provider.url)


async def test_keys_that_the_issuer_withdrew_are_forgotten(
    provider: TestIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_FRESH_SECONDS", 0.01)
    held = Keys(provider.url)
    running = asyncio.create_task(held.run())
    assert await held.find("ec") is not None
    del provider.keys["ec"]
    async with asyncio.timeout(10):
        while await held.find("ec") is not None:
            await asyncio.sleep(0)
    assert await held.find("rsa") is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_without_an_issuer_a_jwt_is_no_credential(
    provider: TestIssuer, plain_world: World
) -> None:
    assert await refusal(plain_world.authenticate(provider.token())) == INVALID
    assert not provider.fetched


@pytest.fixture
async def plain_world(
    url: str, orgs_server: Any, keyring: Any, folder: Any
) -> AsyncIterator[World]:
    world, stop = await start(url, orgs_server, keyring, folder, None)
    yield world
    await stop()
