"""Jobs on many snapshots: what is asked of the service, and how its answers look."""

from typing import Any
from uuid import uuid4

import httpx

from ratoon.snapshots.v1 import bulk_job_pb2, bulk_job_service_pb2
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from tests.gateway_fakes import ORG, SHOWN_STAMP, STAMP, Fakes, a_snapshot
from tests.gateway_fakes.bulk import an_item


async def test_a_job_is_taken_and_followed(fakes: Fakes, client: httpx.AsyncClient) -> None:
    ids = [str(uuid4()), "x"]
    taken = await client.post(
        "/snapshots/bulk",
        json={"action": "deactivate", "ids": ids},
        headers={"Idempotency-Key": "k1"},
    )
    assert taken.status_code == 202
    expected = bulk_job_service_pb2.CreateBulkJobRequest(
        organization_id=ORG,
        action=bulk_job_pb2.BULK_ACTION_DEACTIVATE,
        snapshot_ids=ids,
        request_id="k1",
    )
    assert fakes.bulk_jobs.calls.last("CreateBulkJob") == expected
    id_ = taken.json()["id"]
    shown = {
        "id": id_,
        "action": "deactivate",
        "finished": False,
        "total": 1,
        "waiting": 1,
        "done": 0,
        "unchanged": 0,
        "refused": 0,
        "createdAt": SHOWN_STAMP,
        "finishedAt": None,
    }
    assert taken.json() == shown
    fakes.bulk_jobs.jobs[id_].finish_time.CopyFrom(STAMP)
    fakes.bulk_jobs.jobs[id_].refused = 1
    fakes.bulk_jobs.items = [
        an_item(),
        an_item(
            snapshot_id="x",
            name="base",
            outcome=bulk_job_pb2.BULK_OUTCOME_REFUSED,
            code="SNAPSHOT_GENERAL",
        ),
    ]
    followed = await client.get(f"/snapshots/bulk/{id_}", params={"page": 2, "limit": 1})
    assert followed.json() == {
        **shown,
        "finished": True,
        "waiting": 0,
        "refused": 1,
        "finishedAt": SHOWN_STAMP,
        "items": [{"id": "x", "name": "base", "outcome": "refused", "code": "SNAPSHOT_GENERAL"}],
        "page": 2,
        "totalPages": 1,
    }
    asked = fakes.bulk_jobs.calls.last("GetBulkJob")
    assert (asked.organization_id, asked.page_size, asked.skip) == (ORG, 1, 1)


async def test_a_dry_run_says_what_would_be(fakes: Fakes, client: httpx.AsyncClient) -> None:
    item = an_item(outcome=bulk_job_pb2.BULK_OUTCOME_DONE, name="base")
    fakes.bulk_jobs.items = [item]
    answer = await client.post(
        "/snapshots/bulk", json={"action": "remove", "name": "ba", "dryRun": True}
    )
    assert answer.status_code == 200
    said = answer.json()
    assert (said["id"], said["finished"], said["createdAt"], said["done"]) == (None, True, None, 1)
    shown = {"id": item.snapshot_id, "name": "base", "outcome": "done", "code": None}
    assert said["items"] == [shown]
    asked = fakes.bulk_jobs.calls.last("CreateBulkJob")
    assert (asked.name_contains, asked.dry_run, list(asked.snapshot_ids)) == ("ba", True, [])


async def test_what_is_no_job(client: httpx.AsyncClient) -> None:
    wrong: tuple[Any, ...] = (
        {},
        {"action": "explode", "ids": ["x"]},
        {"action": "remove", "ids": []},
        {"action": "remove", "ids": "x"},
        {"action": "remove", "ids": ["x\0"]},
        {"action": "remove", "ids": ["x"] * 10_001},
        {"action": "remove", "name": ""},
        {"action": "remove", "ids": ["x"], "dryRun": "no"},
    )
    for body in wrong:
        assert (await client.post("/snapshots/bulk", json=body)).status_code == 400, body
    gone = await client.get(f"/snapshots/bulk/{uuid4()}")
    assert (gone.status_code, gone.json()["code"]) == (404, "BULK_JOB_NOT_FOUND")
    for query in ({"page": "0"}, {"limit": "0"}, {"limit": "1001"}):
        assert (await client.get(f"/snapshots/bulk/{uuid4()}", params=query)).status_code == 400


async def test_a_snapshot_may_be_named_bulk(fakes: Fakes, client: httpx.AsyncClient) -> None:
    fakes.snapshots.snapshots = [a_snapshot("bulk")]
    assert (await client.get("/snapshots/bulk")).json()["name"] == "bulk"
    assert (await client.post("/snapshots/bulk/activate")).status_code == 200
    logs = await client.get("/snapshots/bulk/build-logs")
    assert logs.json()["code"] == "BUILD_NOT_FOUND"
    assert fakes.snapshots.calls.last("ActivateSnapshot") == pb.ActivateSnapshotRequest(
        organization_id=ORG, ref=pb.SnapshotRef(text="bulk")
    )
