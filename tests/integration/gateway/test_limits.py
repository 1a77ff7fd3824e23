"""Limits: they say so in headers, refuse in the one shape, and never lock out a valid credential."""

from gateway.addresses import Peers
from gateway.limits import AuthenticatedLimit, FailedAuthLimit
from tests.gateway_fakes import ACCOUNT, KEY, ORG, OTHER, OWNER, READER, Fakes
from tests.integration.gateway.conftest import client_of


async def test_failed_attempts_are_counted_by_address(fakes: Fakes) -> None:
    limit = FailedAuthLimit(60, 3)
    async with (
        fakes.gateway(failed_auth=limit, peers=Peers(("127.0.0.0/8",))) as (_, app),
        client_of(app, "dtn_wrong", **{"X-Forwarded-For": "192.0.2.1"}) as client,
    ):
        answers = [await client.get("/snapshots") for _ in range(4)]
        assert [a.status_code for a in answers] == [401, 401, 429, 429]
        assert answers[0].headers["x-ratelimit-limit-failed-auth"] == "3"
        assert answers[0].headers["x-ratelimit-remaining-failed-auth"] == "2"
        assert 0 < int(answers[2].headers["retry-after"]) <= 60
        assert answers[2].json()["code"] == "FAILED_AUTH_LIMIT_REACHED"
        good = {"authorization": f"Bearer {KEY}"}
        assert (await client.get("/snapshots", headers=good)).status_code == 200
        other = {"X-Forwarded-For": "192.0.2.2"}
        assert (await client.get("/snapshots", headers=other)).status_code == 401
        spoofed = {"X-Forwarded-For": "192.0.2.9, 192.0.2.1"}
        assert (await client.get("/snapshots", headers=spoofed)).status_code == 429


async def test_an_untrusted_peer_cannot_choose_its_address(fakes: Fakes) -> None:
    async with (
        fakes.gateway(failed_auth=FailedAuthLimit(60, 2)) as (_, app),
        client_of(app, "dtn_wrong") as client,
    ):
        statuses = [
            (
                await client.get("/snapshots", headers={"X-Forwarded-For": f"192.0.2.{n}"})
            ).status_code
            for n in range(2)
        ]
    assert statuses == [401, 429]


async def test_a_client_of_one_network_has_one_count(fakes: Fakes) -> None:
    limit = FailedAuthLimit(60, 2)
    async with (
        fakes.gateway(failed_auth=limit, peers=Peers(("127.0.0.1",))) as (_, app),
        client_of(app, "dtn_wrong") as client,
    ):
        statuses = [
            (
                await client.get("/snapshots", headers={"X-Forwarded-For": f"2001:db8::{n}"})
            ).status_code
            for n in range(2)
        ]
    assert statuses == [401, 429]


async def test_every_organization_has_its_own_window(fakes: Fakes) -> None:
    async with (
        fakes.gateway(authenticated=AuthenticatedLimit(60, 2)) as (_, app),
        client_of(app, KEY) as client,
    ):
        answers = [await client.get("/api-keys/current") for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert answers[0].headers["x-ratelimit-limit-authenticated"] == "2"
        assert answers[0].headers["x-ratelimit-remaining-authenticated"] == "1"
        refused = answers[2].headers
        assert refused["retry-after"] == refused["retry-after-authenticated"]
        assert answers[2].json()["code"] == "RATE_LIMIT_REACHED"
        # Another key of the same organization shares its window; access is still decided first.
        reader = {"authorization": f"Bearer {READER}"}
        assert (await client.get("/snapshots", headers=reader)).status_code == 429
        assert (await client.post("/snapshots", headers=reader)).status_code == 403
        other = {"authorization": f"Bearer {OWNER}", "X-Daytona-Organization-ID": OTHER}
        assert (await client.get("/snapshots", headers=other)).status_code == 200


async def test_a_header_cannot_use_up_what_is_others(fakes: Fakes) -> None:
    async with (
        fakes.gateway(authenticated=AuthenticatedLimit(60, 2)) as (_, app),
        client_of(app, OWNER, **{"X-Daytona-Organization-ID": ORG}) as client,
    ):
        assert [(await client.get("/users/me")).status_code for _ in range(3)] == [
            200,
            200,
            429,
        ]
        account = {"authorization": f"Bearer {ACCOUNT}"}
        assert (await client.get("/snapshots", headers=account)).status_code == 200


async def test_what_is_public_is_not_counted(fakes: Fakes) -> None:
    async with (
        fakes.gateway(authenticated=AuthenticatedLimit(60, 1)) as (_, app),
        client_of(app, KEY) as client,
    ):
        for _ in range(3):
            assert (await client.get("/config")).status_code == 200
