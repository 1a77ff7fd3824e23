"""An organization's own regions, as the public API shows them."""

from typing import Any

import httpx
import pytest

from chassis.errors import Kind, Refusal
from ratoon.orgs.v1 import region_service_pb2 as pb
from tests.gateway_fakes import ORG, READER, SHOWN_STAMP, Fakes
from tests.gateway_fakes.regions import KEY
from tests.integration.gateway.conftest import Served, client_of

SHAPE = {"path", "timestamp", "statusCode", "error", "message", "code", "source"}
REGENERATE = {
    "regenerate-proxy-api-key": (pb.REGION_CREDENTIAL_KIND_PROXY, {"apiKey": KEY}),
    "regenerate-ssh-gateway-api-key": (
        pb.REGION_CREDENTIAL_KIND_SSH_GATEWAY,
        {"apiKey": KEY},
    ),
    "regenerate-snapshot-manager-credentials": (
        pb.REGION_CREDENTIAL_KIND_SNAPSHOT_MANAGER,
        {"username": "daytona", "password": KEY},
    ),
}


class NotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "REGION_NOT_FOUND"


class InUse(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "REGION_IN_USE"


class NameTaken(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "REGION_NAME_TAKEN"


async def test_a_region_is_made(fakes: Fakes, client: httpx.AsyncClient) -> None:
    body = {
        "name": "EU",
        "proxyUrl": "https://p.example",
        "sshGatewayUrl": None,
        "otelEndpoint": "http://o.example:4318",
        "regionType": "shared",
    }
    answer = await client.post("/regions", json=body, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 201
    assert answer.json() == {
        "id": "eu_x1y2",
        "proxyApiKey": KEY,
        "sshGatewayApiKey": None,
        "snapshotManagerUsername": None,
        "snapshotManagerPassword": None,
    }
    assert fakes.regions.calls.last("CreateRegion") == pb.CreateRegionRequest(
        organization_id=ORG,
        name="EU",
        proxy_url="https://p.example",
        otel_endpoint="http://o.example:4318",
        request_id="k",
    )
    fakes.regions.secrets = pb.RegionSecrets(
        snapshot_manager_username="daytona", snapshot_manager_password=KEY
    )
    told = (await client.post("/regions", json={"name": "EU"})).json()
    assert (told["snapshotManagerUsername"], told["snapshotManagerPassword"]) == ("daytona", KEY)
    assert told["proxyApiKey"] is None


async def test_a_region_is_shown(fakes: Fakes, client: httpx.AsyncClient) -> None:
    answer = await client.get("/regions/eu_x1y2")
    assert answer.status_code == 200
    assert answer.json() == {
        "id": "eu_x1y2",
        "name": "EU",
        "organizationId": ORG,
        "regionType": "custom",
        "createdAt": SHOWN_STAMP,
        "updatedAt": SHOWN_STAMP,
        "proxyUrl": "https://p.example",
        "sshGatewayUrl": None,
        "snapshotManagerUrl": None,
        "otelEndpoint": "http://o.example:4318",
    }
    expected = pb.GetRegionRequest(organization_id=ORG, region_id="eu_x1y2")
    assert fakes.regions.calls.last("GetRegion") == expected


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({}, {}),
        ({"name": "other"}, {}),
        ({"proxyUrl": None}, {"proxy_url": ""}),
        ({"proxyUrl": ""}, {"proxy_url": ""}),
        (
            {"sshGatewayUrl": "ssh://s.example", "snapshotManagerUrl": None, "otelEndpoint": None},
            {"ssh_gateway_url": "ssh://s.example", "snapshot_manager_url": "", "otel_endpoint": ""},
        ),
    ],
)
async def test_what_is_left_out_stays_and_null_clears(
    fakes: Fakes, client: httpx.AsyncClient, body: dict[str, Any], asked: dict[str, str]
) -> None:
    answer = await client.patch("/regions/eu_x1y2", json=body)
    assert (answer.status_code, answer.content) == (200, b"")
    expected = pb.UpdateRegionRequest(organization_id=ORG, region_id="eu_x1y2", **asked)
    assert fakes.regions.calls.last("UpdateRegion") == expected


async def test_a_region_is_deleted(fakes: Fakes, client: httpx.AsyncClient) -> None:
    answer = await client.delete("/regions/eu%2Fx")
    assert (answer.status_code, answer.content) == (204, b"")
    assert fakes.regions.calls.last("DeleteRegion").region_id == "eu/x"


@pytest.mark.parametrize("operation", REGENERATE)
async def test_a_secret_is_replaced(
    fakes: Fakes, client: httpx.AsyncClient, operation: str
) -> None:
    kind, shown = REGENERATE[operation]
    answer = await client.post(f"/regions/eu_x1y2/{operation}")
    assert (answer.status_code, answer.json()) == (200, shown)
    assert fakes.regions.calls.last("RegenerateRegionCredential").kind == kind


@pytest.mark.parametrize(
    "body",
    [
        {"proxyUrl": 5},
        {"proxyUrl": "https://a\x00"},
        {"sshGatewayUrl": "https://a.example/" + "x" * 2_048},
        {"otelEndpoint": ["https://a.example"]},
    ],
)
async def test_bad_addresses(fakes: Fakes, client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    for answer in (
        await client.post("/regions", json={"name": "EU", **body}),
        await client.patch("/regions/eu_x1y2", json=body),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "REQUEST_INVALID")
    assert fakes.regions.calls.names() == []


@pytest.mark.parametrize("body", [{}, {"name": None}, {"name": 5}, [], None])
async def test_a_region_has_a_name(client: httpx.AsyncClient, body: Any) -> None:
    assert (await client.post("/regions", json=body)).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "rpc", "refusal", "status"),
    [
        ("POST", "", "CreateRegion", NameTaken("taken"), 409),
        ("GET", "/x", "GetRegion", NotFound("none"), 404),
        ("PATCH", "/x", "UpdateRegion", InUse("in use"), 400),
        ("DELETE", "/x", "DeleteRegion", InUse("in use"), 400),
        ("POST", "/x/regenerate-proxy-api-key", "RegenerateRegionCredential", NotFound("-"), 404),
    ],
)
async def test_refusals(
    fakes: Fakes,
    client: httpx.AsyncClient,
    method: str,
    path: str,
    rpc: str,
    refusal: Refusal,
    status: int,
) -> None:
    fakes.regions.calls.refusals[rpc] = refusal
    answer = await client.request(method, f"/regions{path}", json={"name": "EU"})
    body = answer.json()
    assert (answer.status_code, body["code"], set(body)) == (status, refusal.reason, SHAPE)


async def test_a_key_without_the_permission(fakes: Fakes, served: Served) -> None:
    async with client_of(served[1], READER) as client:
        assert (await client.get("/regions/x")).status_code == 200
        writing = [("POST", ""), ("PATCH", "/x"), ("DELETE", "/x")]
        for method, path in [*writing, *(("POST", f"/x/{o}") for o in REGENERATE)]:
            answer = await client.request(method, f"/regions{path}", content=b"{")
            assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_MISSING")
    assert fakes.regions.calls.names() == ["GetRegion"]
