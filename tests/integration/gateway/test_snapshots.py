"""/snapshots: what is asked of the service, and how its answers look."""

import httpx
import pytest

from ratoon.snapshots.v1 import snapshot_pb2, snapshot_service_pb2
from tests.gateway_fakes import (
    ORG,
    SHOWN_STAMP,
    STAMP,
    Fakes,
    NameTaken,
    QuotaExceeded,
    a_snapshot,
)

SHA = "sha256:" + "a" * 64


async def test_a_snapshot_looks_as_published(fakes: Fakes, client: httpx.AsyncClient) -> None:
    shown = a_snapshot(
        "base",
        state=snapshot_pb2.SNAPSHOT_STATE_ACTIVE,
        size_bytes=3 * 2**29,
        entrypoint=["sleep", "infinity"],
        last_use_time=STAMP,
        ref=f"store/base@{SHA}",
        use_count=5,
    )
    fakes.snapshots.snapshots = [shown]
    answer = await client.get("/snapshots/base")
    assert answer.status_code == 200
    assert answer.json() == {
        "id": shown.id,
        "organizationId": ORG,
        "general": False,
        "name": "base",
        "imageName": "alpine:3.20",
        "state": "active",
        "size": 1.5,
        "entrypoint": ["sleep", "infinity"],
        "cpu": 1,
        "gpu": 0,
        "mem": 1,
        "disk": 3,
        "errorReason": None,
        "createdAt": SHOWN_STAMP,
        "updatedAt": SHOWN_STAMP,
        "lastUsedAt": SHOWN_STAMP,
        "regionIds": ["us"],
        "initialRunnerId": None,
        "ref": f"store/base@{SHA}",
        "sourceSandboxId": None,
        "errorCode": None,
        "errorRemedy": None,
        "progress": None,
        "sharedBy": None,
        "shareRights": None,
        "version": 1,
        "useCount": 5,
    }


async def test_failure_and_progress_are_told(fakes: Fakes, client: httpx.AsyncClient) -> None:
    failure = snapshot_pb2.Failure(code="IMAGE_NOT_FOUND", reason="no such tag", remedy="push it")
    progress = snapshot_pb2.Progress(phase="waiting", bytes_done=1, bytes_total=2, attempt=3)
    fakes.snapshots.snapshots = [a_snapshot(failure=failure, progress=progress)]
    told = (await client.get("/snapshots/base")).json()
    assert (told["errorCode"], told["errorReason"], told["errorRemedy"]) == (
        "IMAGE_NOT_FOUND",
        "no such tag",
        "push it",
    )
    expected = {"phase": "waiting", "bytesDone": 1, "bytesTotal": 2, "attempt": 3}
    assert told["progress"] == expected


async def test_every_state_has_its_published_word(fakes: Fakes, client: httpx.AsyncClient) -> None:
    states = [n for n in snapshot_pb2.SnapshotState.values() if n]
    fakes.snapshots.snapshots = [a_snapshot(str(n), state=n) for n in states]
    shown = (await client.get("/snapshots")).json()["items"]
    assert [s["state"] for s in shown] == [
        "building",
        "pending",
        "pulling",
        "active",
        "inactive",
        "error",
        "build_failed",
        "removing",
        "snapshotting",
    ]


async def test_a_changed_snapshot_is_shown_changed(fakes: Fakes, client: httpx.AsyncClient) -> None:
    assert (await client.get("/snapshots/base")).json()["cpu"] == 1
    fakes.snapshots.snapshots[0].cpu = 2
    assert (await client.get("/snapshots/base")).json()["cpu"] == 2


async def test_a_page_is_asked_for_and_counted(fakes: Fakes, client: httpx.AsyncClient) -> None:
    fakes.snapshots.snapshots = [a_snapshot(str(n)) for n in range(5)]
    query = {"page": "2", "limit": "2", "name": "a%_", "sort": "createdAt", "order": "asc"}
    answer = await client.get("/snapshots", params=query | {"sourceSandboxId": "s"})
    assert [s["name"] for s in answer.json()["items"]] == ["2", "3"]
    assert (answer.json()["total"], answer.json()["page"], answer.json()["totalPages"]) == (5, 2, 3)
    assert fakes.snapshots.calls.last("ListSnapshots") == snapshot_service_pb2.ListSnapshotsRequest(
        organization_id=ORG,
        page_size=2,
        skip=2,
        name_contains="a%_",
        sort=snapshot_service_pb2.SNAPSHOT_SORT_CREATED,
        ascending=True,
        source_sandbox_id="s",
    )


async def test_by_default_the_first_hundred_by_last_use(
    fakes: Fakes, client: httpx.AsyncClient
) -> None:
    fakes.snapshots.snapshots = []
    answer = await client.get("/snapshots")
    assert answer.json() == {"items": [], "total": 0, "page": 1, "totalPages": 0}
    asked = fakes.snapshots.calls.last("ListSnapshots")
    assert (asked.page_size, asked.skip, asked.ascending) == (100, 0, False)
    assert asked.sort == snapshot_service_pb2.SNAPSHOT_SORT_LAST_USED


@pytest.mark.parametrize(
    "query",
    [
        *("page=0", "page=1.5", "page=", "page=9" + "9" * 30, "limit=0", "limit=201", "limit=x"),
        *("sort=size", "sort=", "order=up", "name=" + "x" * 2000),
    ],
)
async def test_a_bad_query_is_refused(fakes: Fakes, client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/snapshots?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "REQUEST_INVALID"
    assert fakes.snapshots.calls.names() == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Team%2FImg", "Team/Img"),
        ("Team%2fImg_1.2:dev-3", "Team/Img_1.2:dev-3"),
        ("a%2Factivate", "a/activate"),
        (f"a%40{SHA}", f"a@{SHA}"),
        ("%C3%A4%2F%00", "ä/\ufffd"),
        ("%ED%B0%AF", "\ufffd\ufffd\ufffd"),
        ("..%2F..%2Fconfig", "../../config"),
    ],
)
async def test_a_name_in_a_path_arrives_whole(
    fakes: Fakes, client: httpx.AsyncClient, path: str, text: str
) -> None:
    await client.get(f"/snapshots/{path}")
    assert fakes.snapshots.calls.last("GetSnapshot").ref.text == text


async def test_only_the_published_shape_is_an_operation_on_a_snapshot(
    fakes: Fakes, client: httpx.AsyncClient
) -> None:
    assert (await client.post("/snapshots/base%2Factivate")).status_code == 405
    assert (await client.get("/snapshots/base/activate")).status_code == 405
    assert (await client.get("/snapshots/Team/Img")).status_code == 404
    assert fakes.snapshots.calls.names() == []


async def test_create_passes_everything_on(fakes: Fakes, client: httpx.AsyncClient) -> None:
    body = {
        "name": "web",
        "imageName": "nginx:1.27",
        "entrypoint": ["nginx"],
        "cpu": 2,
        "gpu": 0,
        "memory": 4.0,
        "disk": 5,
        "regionId": "us",
        "unknown": {"is": "ignored"},
    }
    answer = await client.post("/snapshots", json=body, headers={"Idempotency-Key": "k-1"})
    assert answer.status_code == 200
    assert answer.json()["mem"] == 4
    assert "memory" not in answer.json()
    expected = snapshot_service_pb2.CreateSnapshotRequest(
        organization_id=ORG,
        name="web",
        image_ref="nginx:1.27",
        entrypoint=["nginx"],
        cpu=2,
        gpu=0,
        memory=4,
        disk=5,
        region_id="us",
        request_id="k-1",
    )
    assert fakes.snapshots.calls.last("CreateSnapshot") == expected


async def test_null_is_absent(fakes: Fakes, client: httpx.AsyncClient) -> None:
    names = ("imageName", "entrypoint", "cpu", "gpu", "memory", "disk", "buildInfo", "regionId")
    body = {"name": "web"} | dict.fromkeys(names)
    assert (await client.post("/snapshots", json=body)).status_code == 200
    expected = snapshot_service_pb2.CreateSnapshotRequest(organization_id=ORG, name="web")
    assert fakes.snapshots.calls.last("CreateSnapshot") == expected


async def test_a_build_is_passed_on(fakes: Fakes, client: httpx.AsyncClient) -> None:
    build = {"dockerfileContent": "FROM scratch\n", "contextHashes": ["h"]}
    await client.post("/snapshots", json={"name": "web", "buildInfo": build})
    asked = fakes.snapshots.calls.last("CreateSnapshot").build
    assert (asked.dockerfile, list(asked.context_hashes)) == ("FROM scratch\n", ["h"])


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (NameTaken("taken", name="web"), 409),
        (QuotaExceeded("30 of 30"), 400),
    ],
)
async def test_a_refusal_keeps_its_reason(
    fakes: Fakes, client: httpx.AsyncClient, refusal: NameTaken | QuotaExceeded, status: int
) -> None:
    fakes.snapshots.calls.refusals["CreateSnapshot"] = refusal
    answer = await client.post("/snapshots", json={"name": "web"})
    assert answer.status_code == answer.json()["statusCode"] == status
    assert answer.json()["code"] == refusal.reason
    assert answer.json()["source"] == "DAYTONA_API"


async def test_the_lifecycle_answers_as_published(fakes: Fakes, client: httpx.AsyncClient) -> None:
    activated = await client.post("/snapshots/base/activate")
    assert (activated.status_code, activated.json()["name"]) == (200, "base")
    deactivated = await client.post("/snapshots/base/deactivate")
    assert (deactivated.status_code, deactivated.content) == (204, b"")
    removed = await client.delete("/snapshots/base")
    assert (removed.status_code, removed.content) == (200, b"")
    assert fakes.snapshots.calls.names() == [
        "ActivateSnapshot",
        "DeactivateSnapshot",
        "DeleteSnapshot",
    ]


async def test_a_log_is_streamed(fakes: Fakes, client: httpx.AsyncClient) -> None:
    fakes.snapshots.logs["base"] = [b"STEP 1\n", b"STEP 2\n"]
    answer = await client.get("/snapshots/base/build-logs?follow=true")
    assert answer.content == b"STEP 1\nSTEP 2\n"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert fakes.snapshots.calls.last("StreamBuildLog").follow
    fakes.snapshots.logs["base"] = []
    empty = await client.get("/snapshots/base/build-logs")
    assert (empty.status_code, empty.content) == (200, b"")


async def test_the_address_of_a_log(fakes: Fakes, client: httpx.AsyncClient) -> None:
    fakes.snapshots.snapshots = [a_snapshot("Team/Img")]
    fakes.snapshots.logs["Team/Img"] = [b"x"]
    answer = await client.get("/snapshots/Team%2FImg/build-logs-url")
    assert answer.json() == {"url": "http://gateway/api/snapshots/Team%2FImg/build-logs"}


async def test_without_a_build_there_is_no_log(client: httpx.AsyncClient) -> None:
    for operation in ("build-logs", "build-logs-url"):
        answer = await client.get(f"/snapshots/base/{operation}")
        assert (answer.status_code, answer.json()["code"]) == (404, "BUILD_NOT_FOUND")
    assert (await client.get("/snapshots/base/build-logs?follow=maybe")).status_code == 400
