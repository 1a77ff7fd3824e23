"""Keys changed, rotated and walked through; keys of service accounts; keys with read scopes."""

import httpx
import pytest

from chassis.grpc.access import PermissionMissing, check
from chassis.revisions import RevisionMismatch
from gateway.access import RULES
from ratoon.auth.v1 import api_key_service_pb2 as pb
from tests.gateway_fakes import ORG, READER, SHOWN_STAMP, STAMP, VIEWER, Fakes, Known
from tests.integration.gateway.conftest import Served, client_of

ACCOUNT_ID = "service-account-1"
ACCOUNT_KEYS = f"/organizations/{ORG}/service-accounts/{ACCOUNT_ID}/api-keys"
FIVE = {"path", "timestamp", "statusCode", "error", "message", "code", "source"}


async def test_a_key_is_changed(fakes: Fakes, client: httpx.AsyncClient) -> None:
    body = {"permissions": ["write:snapshots"], "expiresAt": "2030-01-01T00:00:00Z"}
    answer = await client.patch("/api-keys/my%2Fkey", json=body, headers={"If-Match": '"3"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"4"')
    assert answer.json()["name"] == "my/key"
    asked = fakes.api_keys.calls.last("UpdateApiKey")
    assert (asked.organization_id, asked.name, asked.user_id) == (ORG, "my/key", "")
    assert (list(asked.permissions.permissions), asked.if_revision) == (["write:snapshots"], 3)
    assert asked.expire_time.seconds == 1_893_456_000
    await client.patch("/api-keys/auth0%7Cada/ci", json={"expiresAt": None, "permissions": []})
    asked = fakes.api_keys.calls.last("UpdateApiKey")
    assert (asked.user_id, asked.clear_expire_time, asked.HasField("expire_time")) == (
        "auth0|ada",
        True,
        False,
    )
    assert asked.HasField("permissions")
    assert not asked.HasField("if_revision")
    await client.patch("/api-keys/ci", json={})
    asked = fakes.api_keys.calls.last("UpdateApiKey")
    assert asked == pb.UpdateApiKeyRequest(organization_id=ORG, name="ci")


async def test_a_key_that_changed_meanwhile_stays(fakes: Fakes, client: httpx.AsyncClient) -> None:
    for method in ("UpdateApiKey", "RotateApiKey"):
        fakes.api_keys.calls.refusals[method] = RevisionMismatch(7)
    stale = {"If-Match": '"3"'}
    for answer in (
        await client.patch("/api-keys/ci", json={}, headers=stale),
        await client.post("/api-keys/ci/rotate", headers=stale),
    ):
        assert (answer.status_code, answer.json()["code"]) == (412, "REVISION_MISMATCH")
        assert set(answer.json()) == FIVE
    answer = await client.patch("/api-keys/ci", json={}, headers={"If-Match": 'W/"3"'})
    assert (answer.status_code, answer.json()["code"]) == (400, "IF_MATCH_INVALID")


async def test_a_key_is_rotated(fakes: Fakes, client: httpx.AsyncClient) -> None:
    answer = await client.post("/api-keys/ci/rotate", json={"overlapSeconds": 60})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"4"')
    assert answer.json()["value"] == "dtn_" + "e" * 64
    expected = pb.RotateApiKeyRequest(organization_id=ORG, name="ci", overlap_seconds=60)
    assert fakes.api_keys.calls.last("RotateApiKey") == expected
    await client.post(f"/api-keys/{ACCOUNT_ID}/ci/rotate", headers={"If-Match": "*"})
    expected = pb.RotateApiKeyRequest(organization_id=ORG, name="ci", user_id=ACCOUNT_ID)
    assert fakes.api_keys.calls.last("RotateApiKey") == expected
    for wrong in (-1, "1", 1.5, 2**31):
        answer = await client.post("/api-keys/ci/rotate", json={"overlapSeconds": wrong})
        assert (answer.status_code, answer.json()["code"]) == (400, "REQUEST_INVALID")


async def test_a_key_says_its_revision(client: httpx.AsyncClient) -> None:
    for path in ("/api-keys/ci", "/api-keys/current"):
        assert (await client.get(path)).headers["etag"] == '"3"'
    made = await client.post("/api-keys", json={"name": "ci", "permissions": []})
    assert made.headers["etag"] == '"3"'


async def test_keys_are_walked_through(fakes: Fakes, client: httpx.AsyncClient) -> None:
    answer = await client.get("/api-keys?unusedForDays=30", headers={"X-Page-Size": "2"})
    assert (len(answer.json()), answer.headers["x-next-page-token"]) == (2, "next")
    assert fakes.api_keys.calls.last("ListApiKeys") == pb.ListApiKeysRequest(
        organization_id=ORG, unused_days=30, page_size=2
    )
    answer = await client.get("/api-keys", headers={"X-Page-Size": "2", "X-Page-Token": "next"})
    assert answer.json() == []
    assert "x-next-page-token" not in answer.headers
    assert "x-next-page-token" not in (await client.get("/api-keys")).headers
    for query in ("-1", "36501", "x", "1.5", ""):
        answer = await client.get(f"/api-keys?unusedForDays={query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "REQUEST_INVALID")
        assert answer.json()["path"].startswith("/api/api-keys?unusedForDays=") or not query


async def test_keys_of_service_accounts(fakes: Fakes, client: httpx.AsyncClient) -> None:
    body = {"name": "ci", "permissions": ["write:snapshots"]}
    answer = await client.post(ACCOUNT_KEYS, json=body, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["value"]) == (201, "dtn_" + "f" * 64)
    asked = fakes.api_keys.calls.last("CreateApiKey")
    assert (asked.organization_id, asked.user_id, asked.request_id) == (ORG, ACCOUNT_ID, "k")
    assert len((await client.get(ACCOUNT_KEYS)).json()) == 2
    assert fakes.api_keys.calls.last("ListApiKeys").user_id == ACCOUNT_ID
    before = fakes.api_keys.calls.names()
    person = f"/organizations/{ORG}/service-accounts/auth0%7Cada/api-keys"
    for refused in (await client.get(person), await client.post(person, json=body)):
        assert (refused.status_code, refused.json()["code"]) == (404, "SERVICE_ACCOUNT_NOT_FOUND")
    assert fakes.api_keys.calls.names() == before
    elsewhere = ACCOUNT_KEYS.replace(ORG, ORG.replace("1", "9"))
    assert (await client.get(elsewhere)).status_code == 403


async def test_without_the_permission_a_key_manages_no_keys(served: Served) -> None:
    async with client_of(served[1], READER) as client:
        for answer in (
            await client.patch("/api-keys/ci", content=b"{"),
            await client.post("/api-keys/ci/rotate", content=b"{"),
            await client.get(ACCOUNT_KEYS),
            await client.post(ACCOUNT_KEYS, content=b"{"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_MISSING")


async def test_a_key_with_reads_reads_what_they_name(fakes: Fakes, served: Served) -> None:
    known: Known = fakes.auth.known[READER]
    fields = {f: getattr(known.caller, f) for f in known.caller.__struct_fields__}
    narrow = type(known.caller)(**fields | {"permissions": frozenset({"read:snapshots"})})
    async with client_of(served[1], READER) as client:
        # One without any reads all, as published.
        for path in ("/snapshots", f"/organizations/{ORG}", "/regions"):
            assert (await client.get(path)).status_code == 200
        fakes.auth.known[READER] = Known(narrow)
        served[0].authenticator.stand()
        assert (await client.get("/snapshots")).status_code == 200
        assert (await client.get("/snapshots/base")).status_code == 200
        for path in (f"/organizations/{ORG}", "/regions"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_MISSING")
            assert "is required" in answer.json()["message"]


@pytest.mark.parametrize(
    "rpc",
    [
        "orgs.v1.OrganizationService/GetOrganization",
        "orgs.v1.RoleService/ListRoles",
        "orgs.v1.RegionService/ListRegions",
        "orgs.v1.RegionService/GetRegion",
    ],
)
async def test_the_rules_ask_for_the_scopes(fakes: Fakes, rpc: str) -> None:
    caller = fakes.auth.known[READER].caller
    fields = {f: getattr(caller, f) for f in caller.__struct_fields__}
    rule = RULES[f"/ratoon.{rpc}"]
    check(rule, caller)
    check(rule, type(caller)(**fields | {"permissions": frozenset({rule.read_scope})}))
    with pytest.raises(PermissionMissing):
        check(rule, type(caller)(**fields | {"permissions": frozenset({"read:snapshots"})}))


async def test_people_read_everything(served: Served) -> None:
    async with client_of(served[1], VIEWER) as client:
        header = {"X-Daytona-Organization-ID": ORG}
        for path in ("/snapshots", f"/organizations/{ORG}", "/regions"):
            assert (await client.get(path, headers=header)).status_code == 200


async def test_a_rotated_key_shows_until_when_the_old_secret_works(
    fakes: Fakes, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = pb.GetApiKeyResponse()
    answer.api_key.previous_expire_time.CopyFrom(STAMP)

    async def rotated(request: object, context: object) -> pb.GetApiKeyResponse:
        return answer

    assert (await client.get("/api-keys/ci")).json()["previousExpiresAt"] is None
    await fakes.stop_one("auth")
    monkeypatch.setattr(fakes.api_keys, "GetApiKey", rotated)
    await fakes.start_one("auth")
    assert (await client.get("/api-keys/ci")).json()["previousExpiresAt"] == SHOWN_STAMP
