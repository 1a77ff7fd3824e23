"""/snapshots/bulk: what is done to many snapshots, in front of BulkJobService.

A snapshot may be named `bulk`: `GET /snapshots/bulk` is that one, and so is everything published below it.
"""

from typing import Annotated, Any

from fastapi import Query, Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.base import json
from gateway.schemas.bulk import (
    ACTIONS,
    BulkJob,
    BulkJobPage,
    BulkSnapshots,
    job_from_proto,
    page_from_proto,
)
from gateway.schemas.errors import errors
from ratoon.snapshots.v1 import bulk_job_service_pb2 as pb

operations = router("/snapshots/bulk", "snapshots")
_FORESEEN: dict[int | str, dict[str, Any]] = {
    200: {"model": BulkJobPage, "description": "What a dry run foresees"}
}


@operations.post(
    "",
    operation_id="bulkSnapshots",
    summary="Activate, deactivate or delete many snapshots",
    status_code=202,
    response_model=BulkJob,
    responses=_FORESEEN | errors(409, body=True),
)
@guarded("snapshots.BulkJobService/CreateBulkJob")
async def bulk_snapshots(call: Call, body: BulkSnapshots) -> Response:
    request = pb.CreateBulkJobRequest(
        organization_id=call.caller.organization_id,
        action=ACTIONS[body.action],
        snapshot_ids=body.ids or (),
        name_contains=body.name or "",
        dry_run=body.dry_run,
        request_id=call.idempotency_key,
    )
    answer = await call.rpc(call.services.bulk_jobs.CreateBulkJob, request)
    if body.dry_run:
        return json(page_from_proto(answer.job, list(answer.items), 1, 1))
    response = json(job_from_proto(answer.job))
    response.status_code = 202
    return response


@operations.get(
    "/{jobId:segment}",
    operation_id="getBulkSnapshotJob",
    summary="Get how far a job on many snapshots is, and what became of each",
    response_model=BulkJobPage,
    responses=errors(400, 404),
)
@guarded("snapshots.BulkJobService/GetBulkJob")
async def get_bulk_job(
    call: Call,
    jobId: Segment,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Response:
    request = pb.GetBulkJobRequest(
        organization_id=call.caller.organization_id,
        job_id=jobId,
        page_size=limit,
        skip=(page - 1) * limit,
    )
    answer = await call.rpc(call.services.bulk_jobs.GetBulkJob, request)
    pages = -(-answer.job.total // limit)
    return json(page_from_proto(answer.job, list(answer.items), page, pages))
