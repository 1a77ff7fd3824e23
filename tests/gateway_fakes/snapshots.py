"""snapshots, made up."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from chassis.errors import Kind, Refusal
from ratoon.snapshots.v1 import (
    snapshot_pb2,
    snapshot_service_pb2,
    snapshot_service_pb2_grpc,
)
from tests.gateway_fakes.calls import ORG, STAMP, Calls


class NotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "SNAPSHOT_NOT_FOUND"


class NameTaken(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "SNAPSHOT_NAME_TAKEN"


class QuotaExceeded(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "SNAPSHOT_QUOTA_EXCEEDED"


class NoBuild(Refusal):
    kind, reason = Kind.NOT_FOUND, "BUILD_NOT_FOUND"


def a_snapshot(name: str = "base", **more: Any) -> snapshot_pb2.Snapshot:
    fields: dict[str, Any] = {
        "id": str(uuid4()),
        "create_time": STAMP,
        "update_time": STAMP,
        "organization_id": ORG,
        "name": name,
        "image_ref": "alpine:3.20",
        "state": snapshot_pb2.SNAPSHOT_STATE_PENDING,
        "cpu": 1,
        "memory": 1,
        "disk": 3,
        "region_ids": ["us"],
        "version": 1,
    }
    return snapshot_pb2.Snapshot(**fields | more)


class FakeSnapshots(snapshot_service_pb2_grpc.SnapshotServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()
        self.snapshots = [a_snapshot()]
        self.logs: dict[str, list[bytes]] = {}

    async def CreateSnapshot(
        self, request: snapshot_service_pb2.CreateSnapshotRequest, context: Any
    ) -> snapshot_service_pb2.CreateSnapshotResponse:
        await self.calls.heard("CreateSnapshot", request, context)
        made = a_snapshot(request.name, image_ref=request.image_ref, entrypoint=request.entrypoint)
        if request.HasField("memory"):
            made.memory = request.memory
        return snapshot_service_pb2.CreateSnapshotResponse(snapshot=made)

    async def ListSnapshots(
        self, request: snapshot_service_pb2.ListSnapshotsRequest, context: Any
    ) -> snapshot_service_pb2.ListSnapshotsResponse:
        await self.calls.heard("ListSnapshots", request, context)
        page = self.snapshots[request.skip : request.skip + request.page_size]
        return snapshot_service_pb2.ListSnapshotsResponse(
            snapshots=page, total_size=len(self.snapshots)
        )

    async def GetSnapshot(
        self, request: snapshot_service_pb2.GetSnapshotRequest, context: Any
    ) -> snapshot_service_pb2.GetSnapshotResponse:
        await self.calls.heard("GetSnapshot", request, context)
        return snapshot_service_pb2.GetSnapshotResponse(snapshot=self.find(request.ref.text))

    async def DeleteSnapshot(
        self, request: snapshot_service_pb2.DeleteSnapshotRequest, context: Any
    ) -> snapshot_service_pb2.DeleteSnapshotResponse:
        await self.calls.heard("DeleteSnapshot", request, context)
        self.find(request.ref.text)
        return snapshot_service_pb2.DeleteSnapshotResponse()

    async def ActivateSnapshot(
        self, request: snapshot_service_pb2.ActivateSnapshotRequest, context: Any
    ) -> snapshot_service_pb2.ActivateSnapshotResponse:
        await self.calls.heard("ActivateSnapshot", request, context)
        found = self.find(request.ref.text)
        return snapshot_service_pb2.ActivateSnapshotResponse(snapshot=found)

    async def RetrySnapshot(
        self, request: snapshot_service_pb2.RetrySnapshotRequest, context: Any
    ) -> snapshot_service_pb2.RetrySnapshotResponse:
        await self.calls.heard("RetrySnapshot", request, context)
        found = self.find(request.ref.text)
        return snapshot_service_pb2.RetrySnapshotResponse(snapshot=found)

    async def DeactivateSnapshot(
        self, request: snapshot_service_pb2.DeactivateSnapshotRequest, context: Any
    ) -> snapshot_service_pb2.DeactivateSnapshotResponse:
        await self.calls.heard("DeactivateSnapshot", request, context)
        self.find(request.ref.text)
        return snapshot_service_pb2.DeactivateSnapshotResponse()

    async def GetUsage(
        self, request: snapshot_service_pb2.GetUsageRequest, context: Any
    ) -> snapshot_service_pb2.GetUsageResponse:
        await self.calls.heard("GetUsage", request, context)
        return snapshot_service_pb2.GetUsageResponse(snapshots=7)

    async def ApplyLimits(
        self, request: snapshot_service_pb2.ApplyLimitsRequest, context: Any
    ) -> snapshot_service_pb2.ApplyLimitsResponse:
        await self.calls.heard("ApplyLimits", request, context)
        return snapshot_service_pb2.ApplyLimitsResponse()

    async def StreamBuildLog(
        self, request: snapshot_service_pb2.StreamBuildLogRequest, context: Any
    ) -> AsyncIterator[snapshot_service_pb2.StreamBuildLogResponse]:
        await self.calls.heard("StreamBuildLog", request, context)
        found = self.find(request.ref.text)
        if found.name not in self.logs:
            raise NoBuild("it was not built")
        for data in self.logs[found.name]:
            yield snapshot_service_pb2.StreamBuildLogResponse(data=data)
        if request.follow:
            await self.calls.heard("follow", request, context)

    def find(self, text: str) -> snapshot_pb2.Snapshot:
        for snapshot in self.snapshots:
            if text in (snapshot.id, snapshot.name):
                return snapshot
        raise NotFound("there is no such snapshot")
