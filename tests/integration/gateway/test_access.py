"""Access comes first: before validation, before the body, and by the rules of the contract."""

import pytest

from tests.gateway_fakes import (
    ACCOUNT,
    ADMIN_PROBE,
    KEY,
    ORG,
    OTHER,
    OWNER,
    READER,
    VIEWER,
    Fakes,
)
from tests.integration.gateway.conftest import Served, client_of

BAD = b"[" * 100_000


async def status(served: Served, method: str, path: str, credential: str, **sent: str) -> int:
    async with client_of(served[1], credential, **sent) as client:
        answer = await client.request(method, path, content=BAD if method != "GET" else None)
    return answer.status_code


@pytest.mark.parametrize(
    ("credential", "expected"),
    [("", 401), ("dtn_unknown", 401), (READER, 403), (KEY, 400)],
)
async def test_who_calls_is_settled_before_what_is_sent(
    served: Served, credential: str, expected: int
) -> None:
    assert await status(served, "POST", "/snapshots", credential) == expected


@pytest.mark.parametrize(
    ("method", "path", "credential", "expected"),
    [
        ("GET", "/snapshots", READER, 200),
        ("POST", "/snapshots/base/activate", READER, 403),
        ("POST", "/snapshots/base/deactivate", READER, 403),
        ("DELETE", "/snapshots/base", READER, 403),
        ("GET", "/snapshots", OWNER, 403),
        ("GET", "/api-keys", READER, 403),
        ("GET", "/api-keys/current", READER, 200),
        ("GET", "/api-keys/current", OWNER, 401),
        ("GET", f"/organizations/{ORG}", KEY, 200),
        ("GET", f"/organizations/{OTHER}", KEY, 403),
        ("GET", f"/organizations/{ORG}/users", READER, 403),
        ("GET", "/organizations/abc", OWNER, 403),
        ("GET", "/organizations/" + "x" * 500, OWNER, 403),
        ("GET", "/organizations/%00%ff", OWNER, 403),
        ("DELETE", f"/organizations/{ORG}", VIEWER, 403),
        ("PATCH", f"/organizations/{ORG}/default-region", VIEWER, 403),
        ("PATCH", f"/organizations/{ORG}/default-region", ACCOUNT, 400),
        ("POST", f"/organizations/{ORG}/leave", KEY, 403),
        ("POST", "/organizations", KEY, 403),
        ("POST", "/organizations", OWNER, 400),
        ("GET", "/users/me", KEY, 403),
        ("GET", "/users/me", ACCOUNT, 200),
        ("GET", "/health/ready", "", 401),
        ("GET", "/health/ready", KEY, 403),
        ("GET", "/health/ready", ADMIN_PROBE, 200),
        ("GET", "/snapshots", ADMIN_PROBE, 403),
        ("GET", "/shared-regions", "", 200),
        ("GET", "/config", "dtn_unknown", 200),
    ],
)
async def test_rules(
    served: Served, method: str, path: str, credential: str, expected: int
) -> None:
    assert await status(served, method, path, credential) == expected


async def test_the_header_chooses_only_where_an_operation_acts_in_an_organization(
    fakes: Fakes, served: Served
) -> None:
    header = {"X-Daytona-Organization-ID": ORG}
    async with client_of(served[1], OWNER, **header) as client:
        assert (await client.get("/snapshots")).status_code == 200
        assert fakes.auth.calls.last("Authenticate").header_organization_id == ORG
        assert (await client.get("/users/me")).status_code == 200
        assert fakes.auth.calls.last("Authenticate").header_organization_id == ""
        assert (await client.get(f"/organizations/{OTHER}")).status_code == 200
        assert fakes.auth.calls.last("Authenticate").path_organization_id == OTHER
    assert fakes.orgs.calls.last("GetOrganization").organization_id == OTHER


async def test_a_key_acts_in_its_own_organization_whatever_the_header_says(
    fakes: Fakes, served: Served
) -> None:
    async with client_of(served[1], KEY, **{"X-Daytona-Organization-ID": OTHER}) as client:
        assert (await client.get("/snapshots")).status_code == 200
    assert fakes.snapshots.calls.last("ListSnapshots").organization_id == ORG


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"bearer {KEY}", 200),
        (f"BEARER   {KEY} ", 200),
        (f"Basic {KEY}", 401),
        (KEY, 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Bearer " + "x" * 20_000, 401),
        ("Bearer \u00e4\u00ff", 401),
    ],
)
async def test_the_shape_of_the_credential(served: Served, header: str, expected: int) -> None:
    async with client_of(served[1], "") as client:
        sent = {"authorization": header.encode("latin-1")}
        answer = await client.get("/snapshots", headers=sent)  # type: ignore[arg-type]  # bytes are what is tested
    assert answer.status_code == expected
    if expected == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "CREDENTIAL_INVALID"


async def test_a_token_is_never_taken_from_elsewhere(served: Served) -> None:
    async with client_of(served[1], "") as client:
        answer = await client.get(f"/snapshots?access_token={KEY}")
        assert answer.status_code == 401
        assert KEY not in answer.text
        body = {"access_token": KEY, "name": "x"}
        assert (await client.post("/snapshots", json=body)).status_code == 401
        twice = [("authorization", f"Bearer {KEY}"), ("authorization", f"Bearer {READER}")]
        assert (await client.get("/snapshots", headers=twice)).status_code == 401


async def test_the_services_are_told_who_and_from_where(fakes: Fakes, served: Served) -> None:
    sent = {"X-Request-Id": "r-1", "User-Agent": "agent/1", "X-Daytona-Source": "cli"}
    async with client_of(served[1], KEY, **sent) as client:
        answer = await client.get("/snapshots")
    assert answer.headers["x-request-id"] == "r-1"
    told = fakes.snapshots.calls.metadata("ListSnapshots")
    assert told.pop("ratoon-caller").count(".") == 2
    told = {k: v for k, v in told.items() if k.startswith(("ratoon", "x-"))}
    assert told == {
        "x-request-id": "r-1",
        "ratoon-source-address": "127.0.0.1",
        "ratoon-user-agent": "agent/1",
        "ratoon-source": "cli",
    }


async def test_what_is_told_is_plain(fakes: Fakes, served: Served) -> None:
    sent = [
        ("x-request-id", b"bad id\x7f"),
        ("user-agent", "ä\u00ff".encode("latin-1")),
        ("x-daytona-source", b"s" * 5_000),
    ]
    async with client_of(served[1], KEY) as client:
        answer = await client.get("/snapshots", headers=sent)  # type: ignore[arg-type]  # bytes are what is tested
    told = fakes.snapshots.calls.metadata("ListSnapshots")
    assert len(told["x-request-id"]) == 32
    assert answer.headers["x-request-id"] == told["x-request-id"]
    assert told["ratoon-user-agent"] == "??"
    assert len(told["ratoon-source"]) == 256
