"""/audit and /admin/audit: shapes, parameters, filters, the export, who may read."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from msgspec import structs

from ratoon.orgs.v1 import audit_service_pb2 as pb
from services.orgs.domain.audit import FilterInvalid
from tests.gateway_fakes import ACCOUNT, KEY, ORG, OTHER, OWNER, SHOWN_STAMP, USER, Fakes
from tests.integration.gateway.conftest import Served, client_of

PATH = f"/audit/organizations/{ORG}"
ROOT = "dtn_" + "d" * 64
FULL = {
    "id": "00000000-0000-4000-8000-000000000001",
    "actorId": USER,
    "actorEmail": "ada@example.com",
    "actorApiKeyPrefix": "dtn",
    "actorApiKeySuffix": "abc",
    "organizationId": ORG,
    "action": "create",
    "targetType": "api_key",
    "targetId": "ci",
    "statusCode": 201,
    "errorMessage": "X: y",
    "ipAddress": "203.0.113.9",
    "userAgent": "curl",
    "source": "cli",
    "metadata": {"permissions": []},
    "createdAt": SHOWN_STAMP,
}
BARE = {
    "id": "00000000-0000-4000-8000-000000000002",
    "actorId": USER,
    "actorEmail": "",
    "action": "create",
    "createdAt": SHOWN_STAMP,
}


@pytest.fixture
async def fakes(fakes: Fakes) -> Fakes:
    """Give fakes that know an administrator of the installation besides."""
    known = fakes.auth.known[ACCOUNT]
    fakes.auth.known[ROOT] = replace(known, caller=structs.replace(known.caller, system_admin=True))
    return fakes


async def get(served: Served, path: str, credential: str = ACCOUNT) -> httpx.Response:
    async with client_of(served[1], credential) as client:
        return await client.get(path)


async def test_a_page_is_answered_as_published(served: Served, fakes: Fakes) -> None:
    answer = await get(served, f"{PATH}?page=2")
    assert answer.status_code == 200
    assert answer.json() == {
        "items": [FULL, BARE],
        "total": 201,
        "page": 2,
        "totalPages": 3,
        "nextToken": "there",
    }
    expected = pb.ListAuditRecordsRequest(organization_id=ORG, skip=100, page_size=100, filter={})  # type: ignore[arg-type]  # protobuf takes a dict too
    assert fakes.audit.calls.last("ListAuditRecords") == expected


async def test_the_last_page_has_no_token(served: Served, fakes: Fakes) -> None:
    answer = await get(served, "/admin/audit?limit=2&nextToken=here", ROOT)
    assert answer.json() == {"items": [FULL, BARE], "total": 2, "page": 1, "totalPages": 1}
    assert fakes.audit.calls.last("ListAllAuditRecords").page_token == "here"


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "page=0", "page=x", "from=x", "to=2026-13-01", "from=5"),
        *("nextToken=" + "x" * 2001,),
    ],
    ids=lambda query: query[:20],
)
async def test_parameters_out_of_range_are_refused(served: Served, query: str) -> None:
    answer = await get(served, f"{PATH}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "REQUEST_INVALID")


@pytest.mark.parametrize(
    "query",
    [
        *("actorId[like]=x", "statusCode[eq]=x", "statusCode=4.5", "statusCode[in]=401,", "id[gte]=1"),
        *("createdAt=2026-01-01", "createdAt[eq]=2026-01-01", "createdAt[gte]=x", "action[]=x"),
        *("action[in]=" + ",".join("x" * 101), "statusCode[gte]=99999999999"),
    ],
    ids=lambda query: query[:20],
)  # fmt: skip
@pytest.mark.parametrize("path", [PATH, f"{PATH}/export", "/admin/audit"])
async def test_filters_that_are_none_are_refused(served: Served, path: str, query: str) -> None:
    answer = await get(served, f"{path}?{query}", ROOT)
    assert (answer.status_code, answer.json()["code"]) == (400, "FILTER_INVALID")


async def test_filters_reach_the_service(served: Served, fakes: Fakes) -> None:
    query = (
        "from=2026-01-01T00:00:00Z&createdAt[gte]=2026-02-01&createdAt[lt]=2026-03-01T01:00:00%2B01:00"
        "&actorId=a,b&action[in]=create,delete&action[in]=read&targetType[not]=user&statusCode[gte]=400&other[x]=1"
    )
    await get(served, f"{PATH}?{query}")
    asked: pb.AuditFilter = fakes.audit.calls.last("ListAuditRecords").filter
    assert asked.from_time.ToJsonString() == "2026-02-01T00:00:00Z"
    assert asked.before_time.ToJsonString() == "2026-03-01T00:00:00Z"
    assert [(c.field, list(c.values), c.negated) for c in asked.texts] == [
        ("actor_id", ["a,b"], False),
        ("action", ["create", "delete", "read"], False),
        ("target_type", ["user"], True),
    ]
    assert [(c.comparison, list(c.values)) for c in asked.status_codes] == [
        (pb.COMPARISON_AT_LEAST, [400])
    ]


async def test_the_export_is_a_stream_of_lines(served: Served, fakes: Fakes) -> None:
    answer = await get(served, f"{PATH}/export?action=create")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert [json.loads(line) for line in answer.text.splitlines()] == [FULL, BARE]
    assert fakes.audit.calls.last("ExportAuditRecords").filter.texts[0].values == ["create"]
    fakes.audit.records = []
    empty = await get(served, f"{PATH}/export")
    assert (empty.status_code, empty.text) == (200, "")
    fakes.audit.calls.refusals["ExportAuditRecords"] = FilterInvalid("no")
    refused = await get(served, f"{PATH}/export")
    assert (refused.status_code, refused.json()["code"]) == (400, "FILTER_INVALID")


@pytest.mark.parametrize(
    ("path", "credential", "status"),
    [
        (PATH, ACCOUNT, 200),
        (PATH, KEY, 403),
        (PATH, OWNER, 403),
        (PATH, "", 401),
        (f"{PATH}/export", KEY, 403),
        (f"/audit/organizations/{OTHER}", KEY, 403),
        ("/audit/organizations/abc", OWNER, 403),
        ("/admin/audit", ACCOUNT, 403),
        ("/admin/audit", KEY, 403),
        ("/admin/audit", ROOT, 200),
        ("/admin/audit", "", 401),
        ("/audit", ACCOUNT, 404),
        ("/audit/scenarios", "", 200),
    ],
)
async def test_who_may_read(served: Served, path: str, credential: str, status: int) -> None:
    assert (await get(served, path, credential)).status_code == status


async def test_the_scenarios_are_what_is_served(served: Served) -> None:
    said: dict[str, Any] = (await get(served, "/audit/scenarios", "")).json()
    targets = {t["targetType"]: t["actions"] for t in said["targets"]}
    assert list(targets) == sorted(targets)
    assert targets["api_key"] == sorted(targets["api_key"])
    assert {"create", "delete", "read"} <= set(targets["api_key"])
    moves = {"activate", "deactivate", "set_general_status", "update", "update_access"}
    assert moves | {"create", "delete", "read"} == set(targets["snapshot"])
    assert "leave_organization" in targets["other"]
    assert "send_webhook_message" in targets["organization"]
    # Published, and not served.
    assert "update_sso_enabled" not in targets["organization"]
