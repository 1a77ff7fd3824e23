"""Registries, as the public API shows them."""

from typing import Any

import httpx
import pytest

from chassis.errors import Kind, Refusal
from chassis.revisions import RevisionMismatch
from ratoon.snapshots.v1 import registry_service_pb2 as pb
from tests.gateway_fakes import ADMIN, ORG, READER, SHOWN_STAMP, Fakes
from tests.gateway_fakes.registries import ID
from tests.integration.gateway.conftest import Served, client_of

ASKED = {"name": "hub", "url": "docker.io", "username": "me", "password": "hush"}
SHOWN = {
    "id": ID,
    "name": "hub",
    "url": "docker.io",
    "username": "me",
    "project": "",
    "registryType": "organization",
    "createdAt": SHOWN_STAMP,
    "updatedAt": SHOWN_STAMP,
}


class NotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "REGISTRY_NOT_FOUND"


class LimitReached(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "REGISTRY_LIMIT_REACHED"


async def test_a_registry_is_made(fakes: Fakes, client: httpx.AsyncClient) -> None:
    sneaked = {"organizationId": "theirs", "registryType": "internal", "id": "x"}
    headers = {"Idempotency-Key": "k"}
    answer = await client.post("/docker-registry", json=ASKED | sneaked, headers=headers)
    assert (answer.status_code, answer.json()) == (201, SHOWN)
    assert fakes.registries.calls.last("CreateRegistry") == pb.CreateRegistryRequest(
        organization_id=ORG, request_id="k", **ASKED
    )


async def test_registries_are_listed_and_shown(fakes: Fakes, client: httpx.AsyncClient) -> None:
    assert (await client.get("/docker-registry")).json() == [SHOWN, SHOWN | {"name": "old"}]
    shown = await client.get(f"/docker-registry/{ID}")
    assert (shown.json(), shown.headers["etag"]) == (SHOWN, '"3"')
    asked = fakes.registries.calls.last("GetRegistry")
    assert (asked.organization_id, asked.registry_id) == (ORG, ID)


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ({}, {}),
        ({"password": None, "project": None}, {}),
        ({"password": "", "project": ""}, {"project": ""}),
        ({"password": "p", "project": "t"}, {"password": "p", "project": "t"}),
    ],
)
async def test_what_is_not_said_stays(
    fakes: Fakes, client: httpx.AsyncClient, more: dict[str, Any], sent: dict[str, Any]
) -> None:
    kept: dict[str, Any] = {"name": "hub", "url": "docker.io", "username": "me"}
    answer = await client.patch(f"/docker-registry/{ID}", json=kept | more)
    assert (answer.status_code, answer.json()) == (200, SHOWN)
    assert fakes.registries.calls.last("UpdateRegistry") == pb.UpdateRegistryRequest(
        organization_id=ORG, registry_id=ID, **kept, **sent
    )


async def test_a_change_may_be_wanted_at_one_revision_only(
    fakes: Fakes, client: httpx.AsyncClient
) -> None:
    kept = {"name": "hub", "url": "docker.io", "username": "me"}
    at = {"If-Match": '"3"'}
    changed = await client.patch(f"/docker-registry/{ID}", json=kept, headers=at)
    assert (changed.status_code, changed.headers["etag"]) == (200, '"3"')
    assert fakes.registries.calls.last("UpdateRegistry").if_revision == 3
    await client.delete(f"/docker-registry/{ID}", headers=at)
    assert fakes.registries.calls.last("DeleteRegistry").if_revision == 3
    for name, method in (("UpdateRegistry", "PATCH"), ("DeleteRegistry", "DELETE")):
        fakes.registries.calls.refusals[name] = RevisionMismatch(4)
        body = kept if method == "PATCH" else None
        answer = await client.request(method, f"/docker-registry/{ID}", json=body, headers=at)
        assert (answer.status_code, answer.json()["code"]) == (412, "REVISION_MISMATCH")


async def test_a_registry_is_deleted_and_tested(fakes: Fakes, client: httpx.AsyncClient) -> None:
    answer = await client.delete(f"/docker-registry/{ID}")
    assert (answer.status_code, answer.content) == (204, b"")
    tested = await client.post(f"/docker-registry/{ID}/test")
    assert tested.status_code == 200
    assert tested.json() == {"ok": False, "code": "REGISTRY_TLS", "reason": "no certificate"}
    assert fakes.registries.calls.names() == ["DeleteRegistry", "TestRegistry"]


async def test_an_administrator_alone_sets_the_default(
    fakes: Fakes, client: httpx.AsyncClient, served: Served
) -> None:
    path = f"/admin/docker-registry/{ID}/set-default"
    assert (await client.post(path)).status_code == 403
    async with client_of(served[1], ADMIN) as admin:
        answer = await admin.post(path)
    assert (answer.status_code, answer.json()) == (200, SHOWN)
    assert fakes.registries.calls.names() == ["SetDefaultRegistry"]


async def test_a_key_without_permissions_only_reads(served: Served) -> None:
    async with client_of(served[1], READER) as reader:
        assert (await reader.get("/docker-registry")).status_code == 200
        for method, path in (
            ("POST", ""),
            ("PATCH", f"/{ID}"),
            ("DELETE", f"/{ID}"),
            ("POST", f"/{ID}/test"),
        ):
            # Access is decided before the body is looked at.
            answer = await reader.request(method, f"/docker-registry{path}", content=b"{")
            assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_MISSING")


@pytest.mark.parametrize(
    "changed",
    [
        *({"name": ""}, {"name": None}, {"url": 7}, {"username": None}, {"password": ["x"]}),
        *({"name": "a\x00b"}, {"password": "x" * 20_000}),
    ],
)
async def test_bad_input_is_named_and_not_repeated(
    client: httpx.AsyncClient, changed: dict[str, Any]
) -> None:
    answer = await client.post("/docker-registry", json=ASKED | changed)
    assert (answer.status_code, answer.json()["code"]) == (400, "REQUEST_INVALID")
    assert "hush" not in answer.text
    assert "xxxx" not in answer.text


async def test_refusals_have_their_published_statuses(
    fakes: Fakes, client: httpx.AsyncClient
) -> None:
    fakes.registries.calls.refusals |= {
        "CreateRegistry": LimitReached("enough"),
        "GetRegistry": NotFound("none"),
    }
    made, shown = (
        await client.post("/docker-registry", json=ASKED),
        await client.get("/docker-registry/x"),
    )
    assert (made.status_code, made.json()["code"]) == (400, "REGISTRY_LIMIT_REACHED")
    assert (shown.status_code, shown.json()["code"]) == (404, "REGISTRY_NOT_FOUND")


async def test_push_access_is_shown(fakes: Fakes, client: httpx.AsyncClient) -> None:
    answer = await client.get("/docker-registry/registry-push-access", params={"regionId": "eu"})
    assert answer.status_code == 200
    assert answer.json() == {
        "username": "u",
        "secret": "s",
        "registryUrl": "127.0.0.1:5000",
        "registryId": ID,
        "project": ORG,
        "expiresAt": SHOWN_STAMP,
    }
    asked = fakes.registries.calls.last("IssuePushAccess")
    assert (asked.organization_id, asked.region_id) == (ORG, "eu")


async def test_a_registrys_clients_are_given_tokens(fakes: Fakes, served: Served) -> None:
    scopes = ["repository:a/b:pull,push", "repository:c/d:pull"]
    async with client_of(served[1], "") as anybody:
        answer = await anybody.get(
            "/registry/token",
            params={"service": "s", "account": "u", "client_id": "docker", "scope": scopes},
            auth=("u", "a:secret"),
        )
    assert answer.status_code == 200
    assert answer.json() == {
        "token": "t",
        "access_token": "t",
        "expires_in": 300,
        "issued_at": SHOWN_STAMP,
    }
    assert fakes.registries.calls.last("IssueRegistryToken") == pb.IssueRegistryTokenRequest(
        username="u", secret="a:secret", scopes=scopes
    )
    assert "ratoon-caller" in fakes.registries.calls.metadata("IssueRegistryToken")


@pytest.mark.parametrize(
    "shown", ["", "Bearer dtn_x", "Basic", "Basic !", "Basic Og", "Basic /w==", "Basic dXNlcg=="]
)
async def test_without_a_credential_of_its_own_there_is_no_token(
    fakes: Fakes, served: Served, shown: str
) -> None:
    sent = {"authorization": shown} if shown else {}
    async with client_of(served[1], "", **sent) as anybody:
        answer = await anybody.get("/registry/token")
    assert (answer.status_code, answer.json()["code"]) == (401, "PUSH_CREDENTIAL_INVALID")
    assert answer.headers["www-authenticate"] == "Basic"
    assert fakes.registries.calls.names() == []
