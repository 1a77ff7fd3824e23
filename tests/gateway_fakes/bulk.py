"""Jobs on many snapshots, made up."""

from typing import Any
from uuid import uuid4

from chassis.errors import Kind, Refusal
from ratoon.snapshots.v1 import bulk_job_pb2
from ratoon.snapshots.v1 import bulk_job_service_pb2 as pb
from ratoon.snapshots.v1.bulk_job_service_pb2_grpc import BulkJobServiceServicer
from tests.gateway_fakes.calls import ORG, STAMP, Calls


class NoJob(Refusal):
    kind, reason = Kind.NOT_FOUND, "BULK_JOB_NOT_FOUND"


def an_item(**said: Any) -> bulk_job_pb2.BulkItem:
    return bulk_job_pb2.BulkItem(
        **{"snapshot_id": str(uuid4()), "outcome": bulk_job_pb2.BULK_OUTCOME_WAITING, **said}
    )


class FakeBulkJobs(BulkJobServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()
        self.jobs: dict[str, bulk_job_pb2.BulkJob] = {}
        self.items = [an_item()]

    async def CreateBulkJob(
        self, request: pb.CreateBulkJobRequest, context: Any
    ) -> pb.CreateBulkJobResponse:
        await self.calls.heard("CreateBulkJob", request, context)
        known: dict[str, Any] = {"organization_id": ORG, "action": request.action}
        if request.dry_run:
            job = bulk_job_pb2.BulkJob(total=1, done=1, **known)
            return pb.CreateBulkJobResponse(job=job, items=self.items)
        job = bulk_job_pb2.BulkJob(id=str(uuid4()), create_time=STAMP, total=1, **known)
        self.jobs[job.id] = job
        return pb.CreateBulkJobResponse(job=job)

    async def GetBulkJob(
        self, request: pb.GetBulkJobRequest, context: Any
    ) -> pb.GetBulkJobResponse:
        await self.calls.heard("GetBulkJob", request, context)
        if request.job_id not in self.jobs:
            raise NoJob("there is no such job")
        page = self.items[request.skip : request.skip + request.page_size]
        return pb.GetBulkJobResponse(job=self.jobs[request.job_id], items=page)
