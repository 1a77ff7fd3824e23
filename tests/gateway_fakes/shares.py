"""Shares of snapshots, made up."""

from typing import Any

from ratoon.snapshots.v1 import share_pb2, snapshot_pb2
from ratoon.snapshots.v1 import share_service_pb2 as pb
from ratoon.snapshots.v1.share_service_pb2_grpc import ShareServiceServicer
from tests.gateway_fakes.calls import OTHER, STAMP, Calls


def a_share(**more: Any) -> share_pb2.Share:
    fields: dict[str, Any] = {
        "receiver_id": OTHER,
        "create_time": STAMP,
        "update_time": STAMP,
        "rights": [snapshot_pb2.SHARE_RIGHT_READ],
        "revision": 3,
    }
    return share_pb2.Share(**fields | more)


class FakeShares(ShareServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()
        self.shares = [a_share()]

    async def ListShares(
        self, request: pb.ListSharesRequest, context: Any
    ) -> pb.ListSharesResponse:
        await self.calls.heard("ListShares", request, context)
        return pb.ListSharesResponse(shares=self.shares)

    async def GetShare(self, request: pb.GetShareRequest, context: Any) -> pb.GetShareResponse:
        await self.calls.heard("GetShare", request, context)
        return pb.GetShareResponse(share=self.shares[0])

    async def PutShare(self, request: pb.PutShareRequest, context: Any) -> pb.PutShareResponse:
        await self.calls.heard("PutShare", request, context)
        expiry = {"expire_time": request.expire_time} if request.HasField("expire_time") else {}
        return pb.PutShareResponse(
            share=a_share(receiver_id=request.receiver_id, rights=request.rights, **expiry)
        )

    async def DeleteShare(
        self, request: pb.DeleteShareRequest, context: Any
    ) -> pb.DeleteShareResponse:
        await self.calls.heard("DeleteShare", request, context)
        return pb.DeleteShareResponse()
