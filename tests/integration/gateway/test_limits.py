"""Limits: they say so in headers, refuse in the one shape, and never lock out a valid credential."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from chassis.grpc.caller import Caller
from gateway.access import guarded, router
from gateway.addresses import Peers
from gateway.app import Gateway
from gateway.call import Call
from gateway.edge import Edge
from gateway.limits.bounds import SANDBOX_CREATE
from ratoon.auth.v1 import authentication_pb2
from tests.gateway_fakes import ACCOUNT, ADMIN_PROBE, KEY, ORG, OTHER, OWNER, READER, Fakes, Known
from tests.integration.gateway.conftest import client_of

BUSY = "RATE_LIMIT_REACHED"


def limits(**limits: int) -> dict[str, Any]:
    """Return settings of limits, each a minute long: authenticated=2 → …_limit 2, …_ttl 60."""
    told: dict[str, Any] = {}
    for name, limit in limits.items():
        told |= {f"set_{name}_limit": limit, f"set_{name}_ttl": 60}
    return told


@asynccontextmanager
async def clients(
    fakes: Fakes, credential: str = KEY, headers: dict[str, str] | None = None, **changes: Any
) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    async with (
        fakes.gateway(**changes) as (gateway, app),
        client_of(app, credential, **headers or {}) as client,
    ):
        yield gateway, client


async def statuses(client: httpx.AsyncClient, path: str, times: int, **more: Any) -> list[int]:
    return [(await client.get(path, **more)).status_code for _ in range(times)]


async def test_failed_attempts_are_counted_by_address(fakes: Fakes) -> None:
    proxied = {"X-Forwarded-For": "192.0.2.1"}
    change = {"peers": Peers(("127.0.0.0/8",)), **limits(failed_auth=3)}
    async with clients(fakes, "dtn_wrong", proxied, **change) as (_, client):
        answers = [await client.get("/snapshots") for _ in range(4)]
        assert [a.status_code for a in answers] == [401, 401, 429, 429]
        shown = [a.headers["x-ratelimit-remaining-failed-auth"] for a in answers]
        assert shown == ["2", "1", "0", "0"]
        assert answers[0].headers["x-ratelimit-limit-failed-auth"] == "3"
        refused = answers[2].headers
        assert refused["retry-after"] == refused["retry-after-failed-auth"]
        assert 0 < int(refused["retry-after"]) <= 60
        assert answers[2].json()["code"] == "FAILED_AUTH_LIMIT_REACHED"
        good = {"authorization": f"Bearer {KEY}"}
        assert (await client.get("/snapshots", headers=good)).status_code == 200
        other = {"X-Forwarded-For": "192.0.2.2"}
        assert (await client.get("/snapshots", headers=other)).status_code == 401
        spoofed = {"X-Forwarded-For": "192.0.2.9, 192.0.2.1"}
        assert (await client.get("/snapshots", headers=spoofed)).status_code == 429


async def test_an_untrusted_peer_cannot_choose_its_address(fakes: Fakes) -> None:
    async with clients(fakes, "dtn_wrong", **limits(failed_auth=2)) as (_, client):
        found = [
            await statuses(client, "/snapshots", 1, headers={"X-Forwarded-For": f"192.0.2.{n}"})
            for n in range(2)
        ]
    assert found == [[401], [429]]


async def test_a_client_of_one_network_has_one_count(fakes: Fakes) -> None:
    change = {"peers": Peers(("127.0.0.1",)), **limits(failed_auth=2)}
    async with clients(fakes, "dtn_wrong", **change) as (_, client):
        found = [
            await statuses(client, "/snapshots", 1, headers={"X-Forwarded-For": f"2001:db8::{n}"})
            for n in range(2)
        ]
    assert found == [[401], [429]]


async def test_every_organization_has_its_own_window(fakes: Fakes) -> None:
    async with clients(fakes, **limits(authenticated=2)) as (_, client):
        answers = [await client.get("/api-keys/current") for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert answers[0].headers["x-ratelimit-limit-authenticated"] == "2"
        shown = [a.headers["x-ratelimit-remaining-authenticated"] for a in answers]
        assert shown == ["1", "0", "0"]
        refused = answers[2].headers
        assert refused["retry-after"] == refused["retry-after-authenticated"]
        assert refused["retry-after"] == refused["x-ratelimit-reset-authenticated"]
        assert answers[2].json()["code"] == BUSY
        # Another key of the same organization shares its window; access is still decided first.
        reader = {"authorization": f"Bearer {READER}"}
        assert (await client.get("/snapshots", headers=reader)).status_code == 429
        assert (await client.post("/snapshots", headers=reader)).status_code == 403
        other = {"authorization": f"Bearer {OWNER}", "X-Daytona-Organization-ID": OTHER}
        assert (await client.get("/snapshots", headers=other)).status_code == 200


async def test_a_header_cannot_use_up_what_is_others(fakes: Fakes) -> None:
    named = {"X-Daytona-Organization-ID": ORG}
    async with clients(fakes, OWNER, named, **limits(authenticated=2)) as (_, client):
        assert await statuses(client, "/users/me", 3) == [200, 200, 429]
        account = {"authorization": f"Bearer {ACCOUNT}"}
        assert (await client.get("/snapshots", headers=account)).status_code == 200


async def test_a_user_cannot_be_taken_for_an_organization(fakes: Fakes) -> None:
    """Users are called whatever the issuer says: an organization's id, or something very long."""
    users = {"t1": ORG, "t2": "x" * 5_000, "t3": "x" * 5_001}
    for token, user in users.items():
        fakes.auth.known[token] = Known(Caller(credential="oidc", user_id=user))
    async with clients(fakes, **limits(authenticated=1)) as (_, client):
        for token in users:
            bearer = {"authorization": f"Bearer {token}"}
            assert await statuses(client, "/users/me", 2, headers=bearer) == [200, 429]
        assert (await client.get("/snapshots")).status_code == 200


async def test_what_is_public_and_what_machines_ask_is_not_counted(fakes: Fakes) -> None:
    async with clients(fakes, **limits(authenticated=1)) as (_, client):
        assert await statuses(client, "/config", 3) == [200] * 3
        assert await statuses(client, "/health", 3) == [200] * 3
        probe = {"authorization": f"Bearer {ADMIN_PROBE}"}
        assert 429 not in await statuses(client, "/health/ready", 3, headers=probe)


async def test_anonymous_counts_health_alone_and_asks_nobody(fakes: Fakes) -> None:
    async with clients(fakes, "", **limits(anonymous=2)) as (_, client):
        answers = [await client.get("/health") for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert answers[0].headers["x-ratelimit-remaining-anonymous"] == "1"
        assert answers[2].headers["retry-after-anonymous"] == answers[2].headers["retry-after"]
        assert await statuses(client, "/config", 3) == [200] * 3
    assert fakes.rate_limits.calls.names() == []


async def test_without_limits_nothing_is_counted(fakes: Fakes) -> None:
    async with clients(fakes) as (_, client):
        answer = await client.get("/snapshots")
        assert (await client.get("/snapshots", headers={"authorization": "x"})).status_code == 401
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    assert fakes.rate_limits.calls.names() == []


async def test_requests_are_served_from_a_share(fakes: Fakes) -> None:
    async with clients(fakes, **limits(authenticated=10_000)) as (gateway, client):
        assert await statuses(client, "/api-keys/current", 500) == [200] * 500
        await gateway.limits.close()
    asked = fakes.rate_limits.leases()
    assert len(asked) < 25
    # Hardly any request waited, and what was left over was given back.
    assert asked[0].needed == 1
    assert sum(lease.needed for lease in asked) < 15
    assert fakes.rate_limits.lent[asked[0].kind, f"o:{ORG}"] == 500


async def test_a_new_window_begins_when_the_old_one_ends(fakes: Fakes) -> None:
    fakes.rate_limits.seconds = 0.2
    async with clients(fakes, **limits(authenticated=1)) as (_, client):
        assert await statuses(client, "/api-keys/current", 2) == [200, 429]
        fakes.rate_limits.end_windows()
        async with asyncio.timeout(10):
            while (await client.get("/api-keys/current")).status_code == 429:
                await asyncio.sleep(0.02)


def own(**fields: int) -> authentication_pb2.RateLimits:
    return authentication_pb2.RateLimits(**fields)


async def test_an_organization_s_own_limit_holds_at_the_next_request(fakes: Fakes) -> None:
    async with clients(fakes, **limits(authenticated=1_000)) as (gateway, client):

        async def change(limits: authentication_pb2.RateLimits | None) -> httpx.Response:
            fakes.auth.own_limits[ORG] = limits or own()
            gateway.authenticator.revoke(0, "", "", ORG)
            return await client.get("/api-keys/current")

        assert await statuses(client, "/api-keys/current", 5) == [200] * 5
        lowered = await change(own(authenticated_limit=2))
        assert (lowered.status_code, lowered.json()["code"]) == (429, BUSY)
        assert lowered.headers["x-ratelimit-limit-authenticated"] == "2"
        raised = await change(own(authenticated_limit=7))
        assert raised.status_code == 200
        assert raised.headers["x-ratelimit-remaining-authenticated"] == "1"
        assert (await change(own(authenticated_limit=0))).status_code == 429
        assert (await change(None)).headers["x-ratelimit-limit-authenticated"] == "1000"
        longer = await change(own(authenticated_seconds=3600))
        assert longer.headers["x-ratelimit-limit-authenticated"] == "1000"
    last = fakes.rate_limits.leases()[-1]
    assert (last.limit, last.window_seconds) == (1000, 3600)


async def test_an_own_limit_counts_where_the_installation_has_none(fakes: Fakes) -> None:
    fakes.auth.own_limits[ORG] = own(authenticated_limit=1)
    async with clients(fakes) as (_, client):
        assert await statuses(client, "/api-keys/current", 2) == [200, 429]
        # Where no organization applies, the installation's limits do.
        user = {"authorization": f"Bearer {OWNER}"}
        assert await statuses(client, "/users/me", 3, headers=user) == [200] * 3
    assert fakes.rate_limits.leases()[0].window_seconds == 60


async def test_an_own_window_alone_limits_nothing(fakes: Fakes) -> None:
    fakes.auth.own_limits[ORG] = own(authenticated_seconds=10)
    async with clients(fakes) as (_, client):
        assert await statuses(client, "/api-keys/current", 2) == [200, 200]
    assert fakes.rate_limits.leases() == []


async def test_an_operation_declares_what_else_it_counts_as(fakes: Fakes) -> None:
    operations = router("/made-up")

    @operations.post("", operation_id="makeUp")
    @guarded("snapshots.SnapshotService/ListSnapshots", limit=SANDBOX_CREATE)
    async def make_up(call: Call) -> dict[str, str]:
        return {}

    change = limits(authenticated=10, sandbox_create=2)
    async with fakes.gateway(**change) as (gateway, _):
        from fastapi import FastAPI

        app = FastAPI()
        app.router.routes += operations.routes
        async with client_of(Edge(app, gateway)) as client:
            answers = [await client.post("/made-up") for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-remaining-sandbox-create"] == "1"
    assert answers[0].headers["x-ratelimit-remaining-authenticated"] == "9"
    assert answers[2].headers["retry-after-sandbox-create"] == answers[2].headers["retry-after"]
    assert fakes.rate_limits.leases()[-1].kind


async def test_while_auth_is_away_the_whole_limit_is_counted_here(fakes: Fakes) -> None:
    """Fail open: nobody waits, every gateway counts for itself; what it let through is owned up to afterwards."""
    async with clients(fakes, **limits(authenticated=5)) as (_, client):
        assert (await client.get("/api-keys/current")).status_code == 200
        await fakes.stop_one("auth")
        answers = [await client.get("/api-keys/current") for _ in range(5)]
        assert [a.status_code for a in answers] == [200] * 4 + [429]
        assert answers[0].headers["x-ratelimit-remaining-authenticated"] == "3"
        await fakes.start_one("auth")
        async with asyncio.timeout(20):
            while not any(lease.owed for lease in fakes.rate_limits.leases()):
                assert (await client.get("/api-keys/current")).status_code == 429
                await asyncio.sleep(0.05)
        await asyncio.sleep(0)
        assert (await client.get("/api-keys/current")).status_code == 429
    assert fakes.rate_limits.lent[1, f"o:{ORG}"] == 5


async def test_a_client_that_goes_away_takes_no_answer_from_others(fakes: Fakes) -> None:
    hold = fakes.rate_limits.calls.holds["LeaseShares"] = asyncio.Event()
    async with clients(fakes, **limits(authenticated=2)) as (_, client):
        requests = [asyncio.create_task(client.get("/api-keys/current")) for _ in range(4)]
        await fakes.rate_limits.calls.until(lambda calls: calls.running == 1)
        requests[0].cancel()
        hold.set()
        answers = await asyncio.gather(*requests[1:])
        assert sorted(a.status_code for a in answers) == [200, 200, 429]


async def test_config_says_what_is_configured(fakes: Fakes) -> None:
    change = limits(authenticated=7, sandbox_create=5, failed_auth=3, anonymous=2)
    async with clients(fakes, "", **change) as (_, client):
        assert (await client.get("/config")).json()["rateLimit"] == {
            "authenticated": {"ttl": 60, "limit": 7},
            "sandboxCreate": {"ttl": 60, "limit": 5},
            "sandboxLifecycle": {},
        }
