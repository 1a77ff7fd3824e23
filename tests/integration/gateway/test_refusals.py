"""Refused requests reach the audit log: each once, in the right organization, without secrets, and no flood fills it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest

from chassis.errors import Kind, Refusal
from gateway import refusals
from gateway.app import Gateway
from gateway.metrics import REFUSALS_DROPPED
from ratoon.orgs.v1.audit_pb2 import AuditRecord
from tests.gateway_fakes import ACCOUNT, KEY, ORG, OTHER, OWNER, READER, USER, VIEWER, Fakes
from tests.integration.gateway.conftest import Served, client_of

NOBODY = "dtn_" + "e" * 64


class EmailNotVerified(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "EMAIL_NOT_VERIFIED"


async def refuse(served: Served, method: str, path: str, credential: str, **headers: str) -> None:
    async with client_of(served[1], credential, **headers) as client:
        answer = await client.request(method, path)
    assert answer.status_code in (401, 403)


async def told(served: Served, fakes: Fakes) -> list[AuditRecord]:
    assert await served[0].refusals.tell()
    return sorted(fakes.audit.refused.values(), key=lambda r: r.create_time.ToMicroseconds())


async def test_a_refusal_says_who_wanted_what_and_why_not(served: Served, fakes: Fakes) -> None:
    more = {"user-agent": "curl/8", "x-daytona-source": "cli"}
    await refuse(served, "DELETE", f"/organizations/{ORG}", VIEWER, **more)
    (record,) = await told(served, fakes)
    assert record.create_time.seconds > 1_700_000_000
    said = (record.action, record.target_type, record.target_id, record.status_code)
    assert said == ("delete", "organization", ORG, 403)
    assert (record.actor_id, record.organization_id) == ("vera", ORG)
    assert record.error_message == ("OWNER_REQUIRED: only an owner of the organization may do this")
    assert (record.user_agent, record.source) == ("curl/8", "cli")
    assert record.ip_address
    assert msgspec.json.decode(record.metadata) == {
        "operation": "deleteOrganization",
        "organizationId": ORG,
    }
    fakes.audit.refused.clear()
    assert await told(served, fakes) == []


@pytest.mark.parametrize(
    ("method", "path", "credential", "organization", "actor"),
    [
        # In the log of an organization stands only what its members were refused.
        ("POST", "/snapshots", READER, ORG, USER),
        ("POST", "/organizations", KEY, ORG, USER),
        ("GET", f"/organizations/{OTHER}", KEY, "", USER),
        ("GET", f"/organizations/{OTHER}", VIEWER, "", "vera"),
        ("GET", "/admin/audit", KEY, ORG, USER),
        ("GET", "/snapshots", "", "", ""),
        ("GET", f"/organizations/{ORG}", NOBODY, "", ""),
        # Of another kind than is needed: known, and yet a 401.
        ("GET", "/api-keys/current", OWNER, "", USER),
    ],
)
async def test_whose_log_it_is_in(
    served: Served,
    fakes: Fakes,
    method: str,
    path: str,
    credential: str,
    organization: str,
    actor: str,
) -> None:
    await refuse(served, method, path, credential)
    (record,) = await told(served, fakes)
    assert (record.organization_id, record.actor_id) == (organization, actor)


async def test_what_a_service_refuses_is_told_too(served: Served, fakes: Fakes) -> None:
    fakes.orgs.calls.refusals["LeaveOrganization"] = EmailNotVerified("verify it")
    await refuse(served, "POST", f"/organizations/{ORG}/leave", ACCOUNT)
    (record,) = await told(served, fakes)
    assert (record.action, record.error_message) == (
        "leave_organization",
        "EMAIL_NOT_VERIFIED: verify it",
    )
    assert (record.organization_id, record.actor_api_key_prefix) == (ORG, "dtn")


async def test_no_credential_is_told(served: Served, fakes: Fakes) -> None:
    for path in (f"/organizations/{NOBODY[4:40]}", f"/api-keys/{NOBODY}", f"/snapshots/{NOBODY}"):
        await refuse(served, "DELETE" if "keys" in path else "GET", path, NOBODY)
    assert len(await told(served, fakes)) == 3
    assert not any(NOBODY[4:30] in str(r) for r in fakes.audit.refused.values())


async def test_what_is_no_refusal_is_not_told(served: Served, fakes: Fakes) -> None:
    async with client_of(served[1], KEY) as client:
        for path, status in (("/nope", 404), ("/snapshots?page=0", 400), ("/snapshots", 200)):
            assert (await client.get(path)).status_code == status
    assert await told(served, fakes) == []


async def test_a_flood_becomes_one_record(served: Served, fakes: Fakes) -> None:
    async with client_of(served[1], "") as client:
        for _ in range(350):
            await client.get("/snapshots")
        for _ in range(100):
            await client.get("/api-keys")
    records = await told(served, fakes)
    by_operation: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        said = msgspec.json.decode(record.metadata)
        by_operation.setdefault(said["operation"], []).append(said)
    assert [r["repeated"] for r in by_operation["getAllSnapshots"]] == [350]
    assert len(by_operation["listApiKeys"]) == 100
    assert not any("repeated" in r for r in by_operation["listApiKeys"])


async def test_they_are_kept_while_orgs_is_away_and_told_once(served: Served, fakes: Fakes) -> None:
    await fakes.stop_one("orgs")
    for _ in range(3):
        await refuse(served, "POST", "/snapshots", READER)
    assert not await served[0].refusals.tell()
    await refuse(served, "GET", "/snapshots", "")
    await fakes.start_one("orgs")
    await told_when_back(served[0])
    assert len(fakes.audit.refused) == sum(fakes.audit.batches) == 4


async def told_when_back(gateway: Gateway) -> None:
    async with asyncio.timeout(10):
        while not await gateway.refusals.tell():
            continue


async def test_what_was_taken_without_an_answer_is_told_again_under_the_same_ids(
    served: Served, fakes: Fakes
) -> None:
    calls = fakes.audit.calls
    calls.holds["RecordRefusals"] = asyncio.Event()
    await refuse(served, "POST", "/snapshots", READER)
    telling = asyncio.create_task(served[0].refusals.tell())
    await calls.until(lambda c: "RecordRefusals" in c.names())
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    del calls.holds["RecordRefusals"]
    assert await served[0].refusals.tell()
    first, *_, last = [r for name, r, _ in calls.requests if name == "RecordRefusals"]
    assert [r.id for r in first.records] == [r.id for r in last.records]


async def test_what_cannot_be_kept_is_counted(
    served: Served, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_KEPT", 5)
    before = REFUSALS_DROPPED._value.get()
    for _ in range(8):
        await refuse(served, "POST", "/snapshots", READER)
    *kept, summary = sorted(await told(served, fakes), key=lambda r: r.action == "drop_refusals")
    assert len(kept) == 5
    assert (summary.action, summary.organization_id) == ("drop_refusals", "")
    assert msgspec.json.decode(summary.metadata) == {"dropped": 3}
    assert REFUSALS_DROPPED._value.get() - before == 3


async def test_batches_are_bounded(
    served: Served, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_BATCH", 2)
    for _ in range(5):
        await refuse(served, "POST", "/snapshots", READER)
    assert len(await told(served, fakes)) == 5
    assert fakes.audit.batches == [2, 2, 1]


@asynccontextmanager
async def _running(gateway: Gateway) -> AsyncIterator[None]:
    task = asyncio.create_task(gateway.refusals.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_refusal_is_told_at_once_and_the_next_soon(served: Served, fakes: Fakes) -> None:
    calls = fakes.audit.calls
    async with _running(served[0]):
        await refuse(served, "POST", "/snapshots", READER)
        await calls.until(lambda c: len(fakes.audit.refused) == 1)
        await refuse(served, "POST", "/snapshots", READER)
        await refuse(served, "GET", "/snapshots", "")
        await calls.until(lambda c: len(fakes.audit.refused) == 3)
    assert len(fakes.audit.batches) == 2


async def test_the_answer_does_not_wait_for_the_record(served: Served, fakes: Fakes) -> None:
    fakes.audit.calls.holds["RecordRefusals"] = asyncio.Event()
    async with _running(served[0]), client_of(served[1], READER) as client:
        answers: list[httpx.Response] = []
        async with asyncio.timeout(5):
            answers += [await client.post("/snapshots") for _ in range(20)]
    assert {a.status_code for a in answers} == {403}
