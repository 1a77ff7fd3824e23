"""Keys, organizations, people, regions, and what the installation says about itself."""

import asyncio

import httpx
import pytest

from ratoon.auth.v1 import api_key_service_pb2
from ratoon.orgs.v1 import organization_pb2, organization_service_pb2
from tests.gateway_fakes import (
    ACCOUNT,
    ADMIN_PROBE,
    KEY,
    ORG,
    OTHER,
    READER,
    SHOWN_STAMP,
    STAMP,
    USER,
    Fakes,
    an_organization,
)
from tests.integration.gateway.conftest import Served, client_of

MASKED = "dtn" + "*" * 20 + "abc"


async def test_a_secret_is_shown_once(fakes: Fakes, client: httpx.AsyncClient) -> None:
    body = {
        "name": "ci",
        "permissions": ["write:snapshots"],
        "expiresAt": "2030-01-01T01:00:00+01:00",
    }
    answer = await client.post("/api-keys", json=body, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 201
    assert answer.json() == {
        "name": "ci",
        "value": "dtn_" + "f" * 64,
        "createdAt": SHOWN_STAMP,
        "permissions": ["write:snapshots"],
        "expiresAt": "2030-01-01T00:00:00.000Z",
    }
    asked = fakes.api_keys.calls.last("CreateApiKey")
    assert (asked.organization_id, asked.request_id) == (ORG, "k")
    await client.post("/api-keys", json={"name": "ci", "permissions": [], "expiresAt": None})
    assert not fakes.api_keys.calls.last("CreateApiKey").HasField("expire_time")


async def test_keys_are_listed_masked(client: httpx.AsyncClient) -> None:
    first, second = (await client.get("/api-keys")).json()
    assert first["value"] == MASKED
    assert (first["lastUsedAt"], second["lastUsedAt"]) == (None, SHOWN_STAMP)
    assert set(first) == {
        "name",
        "value",
        "createdAt",
        "permissions",
        "lastUsedAt",
        "expiresAt",
        "userId",
        "organizationId",
        "previousExpiresAt",
    }


async def test_the_current_key_is_known_without_asking(fakes: Fakes, served: Served) -> None:
    async with client_of(served[1], READER) as client:
        answer = await client.get("/api-keys/current")
    assert (answer.json()["value"], answer.json()["organizationId"]) == (MASKED, ORG)
    assert fakes.api_keys.calls.names() == []
    async with client_of(served[1], ACCOUNT) as client:
        assert (await client.get("/api-keys/current")).json()["organizationId"] is None


async def test_keys_are_known_by_name(fakes: Fakes, client: httpx.AsyncClient) -> None:
    assert (await client.get("/api-keys/my%2Fkey")).json()["name"] == "my/key"
    assert (await client.delete("/api-keys/my%20key")).status_code == 204
    request = api_key_service_pb2.DeleteApiKeyRequest(organization_id=ORG, name="my key")
    assert fakes.api_keys.calls.last("DeleteApiKey") == request
    answer = await client.delete("/api-keys/auth0%7Cada/ci")
    assert (answer.status_code, answer.content) == (204, b"")
    assert fakes.api_keys.calls.last("DeleteApiKey").user_id == USER


async def test_an_organization_suits_strict_clients(client: httpx.AsyncClient) -> None:
    chosen, open_ = (await client.get("/organizations")).json()
    assert chosen["defaultRegionId"] == "us"
    assert "defaultRegionId" not in open_
    assert (chosen["suspended"], chosen["suspensionReason"]) == (False, "")
    assert chosen["suspendedAt"] == chosen["suspendedUntil"] == "1970-01-01T00:00:00.000Z"
    assert (chosen["experimentalConfig"], chosen["otelConfig"]) == ({}, None)
    assert (chosen["secretQuota"], chosen["scimEnabled"]) == (0, False)
    assert chosen["authenticatedRateLimit"] is chosen["defaultQueueTimeout"] is None
    assert "snapshotQuota" not in chosen


async def test_a_suspension_is_told(fakes: Fakes, client: httpx.AsyncClient) -> None:
    for_ever = organization_pb2.Suspension(time=STAMP, reason="unpaid")
    limits = organization_pb2.Limits(authenticated_rate_limit=7)
    fakes.orgs.organizations = [an_organization(suspension=for_ever)]
    fakes.orgs.organizations[0].limits.MergeFrom(limits)
    told = (await client.get(f"/organizations/{ORG}")).json()
    assert (told["suspended"], told["suspensionReason"]) == (True, "unpaid")
    assert told["suspendedAt"] == SHOWN_STAMP
    assert told["suspendedUntil"].startswith("9999-")
    assert told["authenticatedRateLimit"] == 7
    fakes.orgs.organizations[0].suspension.until_time.CopyFrom(STAMP)
    assert (await client.get(f"/organizations/{ORG}")).json()["suspendedUntil"] == SHOWN_STAMP


async def test_dates_may_be_null(fakes: Fakes) -> None:
    async with fakes.gateway(set_null_dates=True) as (_, app), client_of(app) as client:
        told = (await client.get(f"/organizations/{ORG}")).json()
    assert told["suspendedAt"] is told["suspendedUntil"] is None


async def test_an_organization_is_made_and_ended(fakes: Fakes, served: Served) -> None:
    async with client_of(served[1], ACCOUNT) as client:
        body = {"name": "Ünternehmen & Söhne", "defaultRegionId": "us", "extra": 1}
        made = await client.post("/organizations", json=body)
        assert (made.status_code, made.json()["name"]) == (201, "Ünternehmen & Söhne")
        assert made.json()["defaultRegionId"] == "us"
        region = f"/organizations/{OTHER}/default-region"
        assert (await client.patch(region, json={"defaultRegionId": "eu"})).status_code == 204
        assert (await client.post(f"/organizations/{OTHER}/leave")).status_code == 204
        assert (await client.delete(f"/organizations/{OTHER}")).status_code == 204
        assert (await client.patch(region, json={})).status_code == 400
    expected = organization_service_pb2.SetDefaultRegionRequest(
        organization_id=OTHER, region_id="eu"
    )
    assert fakes.orgs.calls.last("SetDefaultRegion") == expected
    for name in ("LeaveOrganization", "DeleteOrganization"):
        assert fakes.orgs.calls.last(name).organization_id == OTHER


async def test_members_people_and_regions(served: Served) -> None:
    async with client_of(served[1], ACCOUNT) as client:
        (member,) = (await client.get(f"/organizations/{ORG}/users")).json()
        assert (member["role"], member["assignedRoles"][0]["name"]) == ("owner", "Developer")
        assert (member["name"], member["email"]) == ("", "")
        assert (await client.get("/users/me")).json() == {
            "id": USER,
            "name": "Ada",
            "email": "ada@example.com",
            "emailVerified": True,
            "publicKeys": [],
            "createdAt": SHOWN_STAMP,
        }
        for path in ("/regions", "/shared-regions"):
            (region,) = (await client.get(path)).json()
            assert (region["id"], region["regionType"], region["proxyUrl"]) == (
                "us",
                "shared",
                None,
            )


async def test_config_has_what_clients_require(client: httpx.AsyncClient) -> None:
    told = (await client.get("/config", headers={"authorization": ""})).json()
    assert told["maintananceMode"] is False
    assert told["announcements"] == {}
    assert set(told["oidc"]) == {"issuer", "clientId", "audience", "provider"}
    assert told["rateLimit"] == {"authenticated": {}, "sandboxCreate": {}, "sandboxLifecycle": {}}
    assert "failedAuth" not in told["rateLimit"]


async def test_ready_means_that_every_service_answers(fakes: Fakes, served: Served) -> None:
    async with client_of(served[1], ADMIN_PROBE) as client:
        assert (await client.get("/health/ready")).json() == {"status": "ok"}
        await fakes.stop_one("snapshots")
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "NOT_READY")
        assert (await client.get("/health")).status_code == 200


async def test_in_maintenance_everything_is_503(fakes: Fakes) -> None:
    async with fakes.gateway(maintenance=True) as (_, app), client_of(app) as client:
        for path in ("/config", "/health", "/snapshots", "/nope", "/docs"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "MAINTENANCE")
            assert answer.headers["x-daytona-api-version"] == "0.1.0"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/volumes", 501, "NOT_IMPLEMENTED"),
        ("POST", "/runners", 501, "NOT_IMPLEMENTED"),
        ("POST", "/sandbox", 501, "NOT_IMPLEMENTED"),
        ("GET", "/socket.io/?EIO=4&transport=websocket", 400, "WEBSOCKET_REQUIRED"),
        ("PUT", "/snapshots", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/openapi.json", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/nope", 404, "ROUTE_NOT_FOUND"),
        ("GET", "/snapshots/", 404, "ROUTE_NOT_FOUND"),
        ("GET", "/no%2Fpe", 404, "ROUTE_NOT_FOUND"),
        ("GET", "", 404, "ROUTE_NOT_FOUND"),
    ],
)
async def test_what_is_not_served(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if status == 405:
        assert answer.headers["allow"]


async def test_pages_of_other_origins_are_let_in_only_if_configured(
    fakes: Fakes, client: httpx.AsyncClient
) -> None:
    asked = {"origin": "https://a.example", "access-control-request-method": "GET"}
    assert (
        "access-control-allow-origin"
        not in (await client.options("/config", headers=asked)).headers
    )
    origins = ("https://a.example",)
    async with fakes.gateway(set_cors_origins=origins) as (_, app), client_of(app) as other:
        allowed = await other.options("/config", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://a.example"


async def test_the_page_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs")
    assert "https://" not in answer.text.replace("https://example", "")
    assert "connect-src 'self'" in answer.headers["content-security-policy"]


async def test_lists_of_one_organization_take_turns(fakes: Fakes, served: Served) -> None:
    hold = fakes.snapshots.calls.holds["ListSnapshots"] = asyncio.Event()
    async with client_of(served[1], KEY) as client:
        flood = [asyncio.create_task(client.get("/snapshots")) for _ in range(12)]
        await fakes.snapshots.calls.until(lambda calls: calls.running == 4)
        # Another organization, and another operation of this one, do not wait.
        assert (await client.get("/snapshots/base")).status_code == 200
        hold.set()
        answers = await asyncio.gather(*flood)
    assert {a.status_code for a in answers} == {200}
    assert fakes.snapshots.calls.most <= 5


async def test_too_many_waiting_are_refused(fakes: Fakes) -> None:
    hold = fakes.snapshots.calls.holds["ListSnapshots"] = asyncio.Event()
    settings = {"set_lists_at_once": 1, "set_lists_waiting": 1}
    async with fakes.gateway(**settings) as (_, app), client_of(app, KEY) as client:
        flood = [asyncio.create_task(client.get("/snapshots")) for _ in range(3)]
        done, waiting = await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = done
        assert (refused.result().status_code, refused.result().json()["code"]) == (
            429,
            "TOO_MANY_AT_ONCE",
        )
        hold.set()
        assert {(await task).status_code for task in waiting} == {200}
