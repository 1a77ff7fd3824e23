"""What administrators do with snapshots, made up."""

from typing import Any

from ratoon.snapshots.v1 import snapshot_admin_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_admin_service_pb2_grpc import SnapshotAdminServiceServicer
from tests.gateway_fakes.calls import Calls
from tests.gateway_fakes.snapshots import FakeSnapshots


class FakeSnapshotAdministration(SnapshotAdminServiceServicer):
    def __init__(self, snapshots: FakeSnapshots) -> None:
        self.calls = Calls()
        self.snapshots = snapshots
        self.unused = True

    async def SetSnapshotGeneral(
        self, request: pb.SetSnapshotGeneralRequest, context: Any
    ) -> pb.SetSnapshotGeneralResponse:
        await self.calls.heard("SetSnapshotGeneral", request, context)
        found = self.snapshots.find(request.snapshot_id)
        found.general = request.general
        return pb.SetSnapshotGeneralResponse(snapshot=found)

    async def CanCleanupImage(
        self, request: pb.CanCleanupImageRequest, context: Any
    ) -> pb.CanCleanupImageResponse:
        await self.calls.heard("CanCleanupImage", request, context)
        return pb.CanCleanupImageResponse(unused=self.unused)
