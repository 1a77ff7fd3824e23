"""Versions of snapshots, made up."""

from typing import Any

from ratoon.snapshots.v1 import version_pb2
from ratoon.snapshots.v1 import version_service_pb2 as pb
from ratoon.snapshots.v1.version_service_pb2_grpc import VersionServiceServicer
from tests.gateway_fakes.calls import STAMP, Calls


def a_version(**more: Any) -> version_pb2.Version:
    fields: dict[str, Any] = {
        "number": 2,
        "snapshot_id": "s",
        "create_time": STAMP,
        "image_ref": "alpine:3.21",
        "state": version_pb2.VERSION_STATE_PENDING,
    }
    return version_pb2.Version(**fields | more)


class FakeVersions(VersionServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()
        self.versions = [a_version()]

    async def SetImage(self, request: pb.SetImageRequest, context: Any) -> pb.SetImageResponse:
        await self.calls.heard("SetImage", request, context)
        return pb.SetImageResponse(version=a_version(image_ref=request.image_ref))

    async def ListVersions(
        self, request: pb.ListVersionsRequest, context: Any
    ) -> pb.ListVersionsResponse:
        await self.calls.heard("ListVersions", request, context)
        return pb.ListVersionsResponse(versions=self.versions)

    async def RollBack(self, request: pb.RollBackRequest, context: Any) -> pb.RollBackResponse:
        await self.calls.heard("RollBack", request, context)
        return pb.RollBackResponse(version=a_version(number=request.number))
