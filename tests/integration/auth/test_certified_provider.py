"""People who come through a certified OpenID provider, by the flow of the published command line."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from services.auth.oidc import keys
from services.auth.oidc.issuer import OidcIssuer
from services.auth.oidc.keys import Keys
from tests.fakes import OrgsServer
from tests.identities import Keyring
from tests.integration.auth.conftest import World, refusal, start
from tests.oidc_provider import AUDIENCE, Provider

INVALID = (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID")
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "ISSUER_UNAVAILABLE")


@pytest.fixture
def certified() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def held(certified: Provider) -> Keys:
    return Keys(certified.url)


@pytest.fixture
async def world(
    url: str, orgs_server: OrgsServer, keyring: Keyring, folder: Path, held: Keys
) -> AsyncIterator[World]:
    world, stop = await start(url, orgs_server, keyring, folder, OidcIssuer(held, AUDIENCE))
    yield world
    await stop()


@pytest.mark.parametrize("client", ["daytona", "daytona-es"])
async def test_a_first_login_makes_user_and_personal_organization(
    world: World, certified: Provider, client: str
) -> None:
    token = await asyncio.to_thread(certified.token, "ada", client_id=client)
    caller = (await world.authenticate(token)).caller
    assert (caller.user_id, caller.email, caller.email_verified) == (
        "certified|ada",
        "ada@example.org",
        True,
    )
    assert list(world.orgs.personal) == ["certified|ada"]
    other = await asyncio.to_thread(certified.token, "unverified-bob", client_id=client)
    assert not (await world.authenticate(other)).caller.email_verified


async def test_a_wrong_verifier_gets_no_token(certified: Provider) -> None:
    said = await asyncio.to_thread(certified.tokens, "ada", wrong_verifier=True)
    assert said["error"] == "invalid_grant"
    assert "access_token" not in said


async def test_only_the_access_token_for_us_is_a_credential(
    world: World, certified: Provider
) -> None:
    tokens = await asyncio.to_thread(certified.tokens, "ada")
    # The ID token is for the client, a refresh token for the provider.
    for other in (tokens["id_token"], tokens["refresh_token"]):
        assert await refusal(world.authenticate(other)) == INVALID
    foreign = await asyncio.to_thread(
        certified.token, "ada", audience="https://elsewhere.example.org"
    )
    assert await refusal(world.authenticate(foreign)) == INVALID
    await world.authenticate(tokens["access_token"])


async def test_twenty_first_logins_make_one_user(world: World, certified: Provider) -> None:
    token = await asyncio.to_thread(certified.token, "ada")
    answers = await asyncio.gather(*(world.authenticate(token) for _ in range(20)))
    assert {a.caller.user_id for a in answers} == {"certified|ada"}
    assert await world.database.pool.fetchval("SELECT count(*) FROM users") == 1
    assert list(world.orgs.personal) == ["certified|ada"]


async def test_keys_are_rotated(
    world: World, certified: Provider, held: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await asyncio.to_thread(certified.token, "ada")
    await world.authenticate(old)
    certified.stop()
    # What is known is not asked for: the provider may be away.
    await world.authenticate(old)
    await asyncio.to_thread(certified.start)
    new = await asyncio.to_thread(certified.token, "ada")
    # Asked for once a minute at most, so not yet.
    assert await refusal(world.authenticate(new)) == INVALID
    monkeypatch.setattr(keys, "_BETWEEN_SECONDS", 0.0)
    await world.authenticate(new)
    assert await refusal(world.authenticate(old)) == INVALID
    certified.stop()
    await world.authenticate(new)
    assert await refusal(world.authenticate(old)) == INVALID


async def test_without_ever_having_seen_the_provider_there_is_no_verdict(
    world: World, certified: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await asyncio.to_thread(certified.token, "ada")
    certified.stop()
    assert await refusal(world.authenticate(token)) == UNAVAILABLE
    assert not world.orgs.ensured
