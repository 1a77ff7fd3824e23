"""Callers are remembered for a while, and never after they were revoked."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from chassis.grpc import revocations
from chassis.grpc.caller import CallerInvalid, Verifier
from gateway import uses
from gateway.app import Gateway
from tests.gateway_fakes import KEY, ORG, USER, Fakes, Known
from tests.integration.gateway.conftest import Served, client_of

KEY_ID = str(UUID(int=101, version=4))


@pytest.fixture
async def watching(fakes: Fakes, served: Served) -> AsyncIterator[Gateway]:
    """Follow revocations as the process does."""
    gateway = served[0]
    known = gateway.authenticator
    follow = revocations.follow(
        gateway.services.auth_channel, gateway.identity, known.revoke, known.stand
    )
    task = asyncio.create_task(follow)
    await fakes.auth.watched()
    await _heard(gateway, 0, watch=1)
    yield gateway
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _heard(gateway: Gateway, revocations: int, watch: int = 0) -> None:
    """Return when so many revocations, and beginnings of a watch, have arrived."""
    known = gateway.authenticator
    async with asyncio.timeout(5):
        while known._heard < revocations or known._watch < watch:
            await asyncio.sleep(0)


def asked(fakes: Fakes) -> int:
    return fakes.auth.calls.names().count("Authenticate")


async def test_auth_is_asked_once(fakes: Fakes, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await client.get("/snapshots")).status_code == 200
    assert asked(fakes) == 1


async def test_many_at_once_ask_once(fakes: Fakes, client: httpx.AsyncClient) -> None:
    hold = fakes.auth.calls.holds["Authenticate"] = asyncio.Event()
    requests = [asyncio.create_task(client.get("/snapshots")) for _ in range(20)]
    await fakes.auth.calls.until(lambda calls: calls.running == 1)
    requests[0].cancel()
    hold.set()
    answers = await asyncio.gather(*requests[1:])
    assert {a.status_code for a in answers} == {200}
    assert asked(fakes) == 1


async def test_an_unknown_credential_is_remembered_as_unknown(fakes: Fakes, served: Served) -> None:
    async with client_of(served[1], "dtn_unknown") as client:
        for _ in range(3):
            answer = await client.get("/snapshots")
            assert (answer.status_code, answer.json()["code"]) == (401, "CREDENTIAL_INVALID")
    assert asked(fakes) == 1


@pytest.mark.parametrize(
    "which", [{"api_key_id": KEY_ID}, {"user_id": USER}, {"organization_id": ORG}, {}]
)
async def test_a_revoked_caller_is_forgotten(
    fakes: Fakes, client: httpx.AsyncClient, watching: Gateway, which: dict[str, str]
) -> None:
    assert (await client.get("/api-keys/current")).status_code == 200
    del fakes.auth.known[KEY]
    fakes.auth.revoke(**which)
    await _heard(watching, 1)
    assert (await client.get("/api-keys/current")).status_code == 401


@pytest.mark.parametrize(
    "which", [{"api_key_id": "k"}, {"user_id": USER, "organization_id": "elsewhere"}]
)
async def test_others_stay(
    fakes: Fakes, client: httpx.AsyncClient, watching: Gateway, which: dict[str, str]
) -> None:
    await client.get("/api-keys/current")
    fakes.auth.revoke(**which)
    await _heard(watching, 1)
    assert (await client.get("/api-keys/current")).status_code == 200
    assert asked(fakes) == 1


async def test_what_was_revoked_while_auth_answered_is_not_kept(
    fakes: Fakes, client: httpx.AsyncClient, watching: Gateway
) -> None:
    hold = fakes.auth.calls.holds["Authenticate"] = asyncio.Event()
    first = asyncio.create_task(client.get("/api-keys/current"))
    await fakes.auth.calls.until(lambda calls: calls.running == 1)
    fakes.auth.revoke(api_key_id=KEY_ID)
    await _heard(watching, 1)
    hold.set()
    assert (await first).status_code == 200
    assert (await client.get("/api-keys/current")).status_code == 200
    assert asked(fakes) == 2


async def test_a_cut_watch_forgets_everybody(
    fakes: Fakes, client: httpx.AsyncClient, watching: Gateway
) -> None:
    await client.get("/api-keys/current")
    fakes.auth.cut()
    await _heard(watching, 0, watch=2)
    await client.get("/api-keys/current")
    assert asked(fakes) == 2


async def test_a_token_that_a_service_refuses_is_asked_for_anew(
    fakes: Fakes, client: httpx.AsyncClient
) -> None:
    await client.get("/snapshots")
    fakes.verifiers["snapshots"].revoke(2e9 - 1, KEY_ID, "", "")
    # Every token of the key is refused by that service now: one more attempt is made, then it is said.
    answer = await client.get("/snapshots")
    assert (answer.status_code, answer.json()["code"]) == (401, CallerInvalid.reason)
    assert asked(fakes) == 2


async def test_a_renewed_token_serves(
    fakes: Fakes, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify, refused = Verifier.verify, list[str]()

    def once(self: Verifier, token: str) -> object:
        if self is fakes.verifiers["snapshots"] and not refused:
            refused.append(token)
            raise CallerInvalid("not this one")
        return verify(self, token)

    monkeypatch.setattr(Verifier, "verify", once)
    assert (await client.get("/snapshots")).status_code == 200
    assert asked(fakes) == 2


async def test_without_auth_nobody_is_refused_for_good(
    fakes: Fakes, client: httpx.AsyncClient
) -> None:
    await fakes.stop_one("auth")
    answer = await client.get("/snapshots")
    assert (answer.status_code, answer.json()["code"]) == (503, "AUTH_UNAVAILABLE")
    await fakes.start_one("auth")
    assert (await client.get("/snapshots")).status_code == 200


async def test_a_service_that_is_away_is_503(fakes: Fakes, client: httpx.AsyncClient) -> None:
    await fakes.stop_one("snapshots")
    answer = await client.get("/snapshots")
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert "unix" not in answer.text


async def test_use_of_keys_is_reported_once_a_batch(fakes: Fakes, served: Served) -> None:
    async with client_of(served[1], KEY) as client:
        for _ in range(3):
            await client.get("/api-keys/current")
    await served[0].uses.report()
    await served[0].uses.report()
    assert list(fakes.auth.uses) == [KEY_ID]
    assert fakes.auth.calls.names().count("ReportApiKeyUse") == 1


async def test_use_is_reported_by_itself_in_time(
    fakes: Fakes, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is said of a key's last use is at most ten seconds old.
    assert uses._EVERY_SECONDS <= 8
    monkeypatch.setattr(uses, "_EVERY_SECONDS", 0.01)
    running = asyncio.create_task(served[0].uses.run())
    fakes.auth.calls.refusals["ReportApiKeyUse"] = RuntimeError("broken")
    async with client_of(served[1], KEY) as client:
        await client.get("/api-keys/current")
        await fakes.auth.calls.until(lambda calls: calls.names().count("ReportApiKeyUse") >= 2)
        fakes.auth.calls.refusals.clear()
        await fakes.auth.calls.until(lambda _: KEY_ID in fakes.auth.uses)
        first = fakes.auth.uses[KEY_ID].ToNanoseconds()
        await client.get("/api-keys/current")
        await fakes.auth.calls.until(lambda _: fakes.auth.uses[KEY_ID].ToNanoseconds() > first)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_use_that_could_not_be_reported_is_kept(fakes: Fakes, served: Served) -> None:
    async with client_of(served[1], KEY) as client:
        await client.get("/api-keys/current")
    fakes.auth.calls.refusals["ReportApiKeyUse"] = RuntimeError("broken")
    await served[0].uses.report()
    fakes.auth.calls.refusals.clear()
    await served[0].uses.report()
    assert list(fakes.auth.uses) == [KEY_ID]


async def test_an_old_answer_is_asked_for_again(fakes: Fakes, served: Served) -> None:
    """A token near its end is not kept: its caller is asked for each time."""
    known: Known = fakes.auth.known[KEY]
    fakes.auth.late = 46.0
    async with client_of(served[1], KEY) as client:
        for _ in range(2):
            assert (await client.get("/api-keys/current")).status_code == 200
    assert known.caller.api_key_id == KEY_ID
    assert asked(fakes) == 2
