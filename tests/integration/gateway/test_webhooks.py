"""Webhooks, as the public API shows them."""

from typing import Any

import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.errors import Kind, Refusal
from ratoon.orgs.v1 import webhook_pb2
from ratoon.orgs.v1 import webhook_service_pb2 as pb
from tests.gateway_fakes import ACCOUNT, ADMIN, ORG, SHOWN_STAMP, VIEWER, Fakes
from tests.gateway_fakes.webhooks import ENDPOINT, SECRET
from tests.integration.gateway.conftest import Served, client_of

BASE = f"/webhooks/organizations/{ORG}"
SHOWN = {
    "id": ENDPOINT,
    "organizationId": ORG,
    "url": "https://hooks.example/x",
    "description": "",
    "eventTypes": ["snapshot.created"],
    "enabled": False,
    "disabledReason": "failing",
    "failingSince": SHOWN_STAMP,
    "previousSecretUntil": None,
    "createdAt": SHOWN_STAMP,
    "updatedAt": SHOWN_STAMP,
}
MESSAGE = {
    "id": "msg_1",
    "eventType": "ping",
    "payload": "{}",
    "createdAt": SHOWN_STAMP,
    "deliveries": [
        {
            "endpointId": ENDPOINT,
            "status": "pending",
            "attempts": 1,
            "nextAttemptAt": SHOWN_STAMP,
        }
    ],
}
ATTEMPTS = [
    {
        "id": id_,
        "endpointId": ENDPOINT,
        "statusCode": status,
        "errorCode": error,
        "durationMs": 12,
        "createdAt": SHOWN_STAMP,
    }
    for id_, status, error in (("2", 204, None), ("1", None, "TIMEOUT"))
]


class NotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "WEBHOOK_ENDPOINT_NOT_FOUND"


@pytest.fixture
async def owner(served: Served) -> Any:
    async with client_of(served[1], ACCOUNT) as client:
        yield client


async def test_an_endpoint_is_made(fakes: Fakes, owner: httpx.AsyncClient) -> None:
    body = {"url": "https://hooks.example/x", "eventTypes": ["snapshot.created"], "enabled": False}
    answer = await owner.post(f"{BASE}/endpoints", json=body, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()) == (201, SHOWN | {"secret": SECRET})
    assert fakes.webhooks.calls.last("CreateWebhookEndpoint") == pb.CreateWebhookEndpointRequest(
        organization_id=ORG,
        url="https://hooks.example/x",
        event_types=["snapshot.created"],
        disabled=True,
        request_id="k",
    )


async def test_an_endpoint_is_changed_in_what_is_given(
    fakes: Fakes, owner: httpx.AsyncClient
) -> None:
    body = {"eventTypes": [], "enabled": True, "url": None}
    headers = {"If-Match": '"3"'}
    answer = await owner.patch(f"{BASE}/endpoints/{ENDPOINT}", json=body, headers=headers)
    assert (answer.status_code, answer.json(), answer.headers["etag"]) == (200, SHOWN, '"3"')
    assert fakes.webhooks.calls.last("UpdateWebhookEndpoint") == pb.UpdateWebhookEndpointRequest(
        organization_id=ORG,
        endpoint_id=ENDPOINT,
        event_types=pb.WebhookEventTypes(),
        enabled=True,
        if_revision=3,
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/endpoints", None, 200, [SHOWN]),
        ("GET", f"/endpoints/{ENDPOINT}", None, 200, SHOWN),
        ("DELETE", f"/endpoints/{ENDPOINT}", None, 204, None),
        (
            *("GET", f"/endpoints/{ENDPOINT}/secret", None, 200),
            {"secret": SECRET, "previousSecretUntil": None},
        ),
        (
            *("POST", f"/endpoints/{ENDPOINT}/secret/rotate", None, 200),
            {"secret": SECRET, "previousSecretUntil": SHOWN_STAMP},
        ),
        ("POST", f"/endpoints/{ENDPOINT}/test", None, 200, MESSAGE),
        (
            *("POST", f"/endpoints/{ENDPOINT}/recover", {"since": "2026-01-01T00:00:00Z"}, 200),
            {"deliveries": 3},
        ),
        ("GET", "/messages", None, 200, {"items": [MESSAGE], "nextToken": "next"}),
        ("GET", "/messages/msg_1/attempts", None, 200, ATTEMPTS),
        ("POST", "/messages/msg_1/replay", {}, 200, {"deliveries": 2}),
        ("POST", "/refresh-endpoints", None, 204, None),
    ],
)
async def test_it_is_shown(
    owner: httpx.AsyncClient, method: str, path: str, body: Any, status: int, said: Any
) -> None:
    answer = await owner.request(method, BASE + path, json=body)
    assert answer.status_code == status, answer.text
    assert (answer.json() if answer.content else None) == said


async def test_messages_are_filtered(fakes: Fakes, owner: httpx.AsyncClient) -> None:
    query = {"limit": "7", "nextToken": "t", "eventType": "ping", "endpointId": "e"}
    await owner.get(f"{BASE}/messages", params={**query, "status": "failed"})
    assert fakes.webhooks.calls.last("ListWebhookMessages") == pb.ListWebhookMessagesRequest(
        organization_id=ORG,
        page_size=7,
        page_token="t",
        event_type="ping",
        endpoint_id="e",
        status=webhook_pb2.WEBHOOK_DELIVERY_STATUS_FAILED,
    )
    assert (await owner.get(f"{BASE}/messages", params={"status": "lost"})).status_code == 400


async def test_what_is_asked_for_is_passed_on(fakes: Fakes, owner: httpx.AsyncClient) -> None:
    await owner.post(f"{BASE}/messages/msg_1/replay", json={"endpointId": ENDPOINT})
    assert fakes.webhooks.calls.last("ReplayWebhookMessage") == pb.ReplayWebhookMessageRequest(
        organization_id=ORG, message_id="msg_1", endpoint_id=ENDPOINT
    )
    since = {"since": "2026-01-01T00:00:00.123Z"}
    await owner.post(f"{BASE}/endpoints/{ENDPOINT}/recover", json=since)
    asked = fakes.webhooks.calls.last("RecoverWebhookEndpoint")
    assert asked.since == Timestamp(seconds=1_767_225_600, nanos=123_000_000)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/initialization-status", 200), ("POST", "/initialize", 201)],
)
async def test_webhooks_are_there_from_the_beginning(
    owner: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await owner.request(method, BASE + path)
    assert (answer.status_code, answer.json()) == (
        status,
        {
            "organizationId": ORG,
            "svixApplicationId": None,
            "lastError": None,
            "retryCount": 0,
            "createdAt": SHOWN_STAMP,
            "updatedAt": SHOWN_STAMP,
        },
    )


async def test_there_is_no_portal(owner: httpx.AsyncClient) -> None:
    answer = await owner.post(f"{BASE}/app-portal-access")
    assert (answer.status_code, answer.json()["code"]) == (503, "WEBHOOK_PORTAL_NOT_OFFERED")


async def test_members_may_know_that_there_are_webhooks_and_no_more(served: Served) -> None:
    async with client_of(served[1], VIEWER) as viewer:
        assert (await viewer.get(f"{BASE}/initialization-status")).status_code == 200
        for path in ("/endpoints", f"/endpoints/{ENDPOINT}/secret", "/messages"):
            answer = await viewer.get(BASE + path)
            assert (answer.status_code, answer.json()["code"]) == (403, "OWNER_REQUIRED")


async def test_refusals_are_shown(fakes: Fakes, owner: httpx.AsyncClient) -> None:
    fakes.webhooks.calls.refusals["GetWebhookEndpoint"] = NotFound("no")
    answer = await owner.get(f"{BASE}/endpoints/x")
    assert (answer.status_code, answer.json()["code"]) == (404, "WEBHOOK_ENDPOINT_NOT_FOUND")


async def test_an_administrator_sends_and_looks(fakes: Fakes, served: Served) -> None:
    base = f"/admin/webhooks/organizations/{ORG}"
    body = {"eventType": "sandbox.created", "payload": {"id": "x"}, "eventId": "evt"}
    async with client_of(served[1], ADMIN) as admin:
        assert (await admin.get("/admin/webhooks/status")).json() == {"enabled": True}
        assert (await admin.post(f"{base}/send", json=body)).status_code == 200
        assert (await admin.get(f"{base}/messages/msg_1/attempts")).json() == ATTEMPTS
        assert (await admin.post(f"{base}/initialize")).status_code == 201
    asked = fakes.webhooks.calls.last("AdminSendWebhookMessage")
    assert asked == pb.AdminSendWebhookMessageRequest(
        organization_id=ORG, event_type="sandbox.created", payload='{"id":"x"}', event_id="evt"
    )
