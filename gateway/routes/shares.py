"""/snapshots/{id}/shares: REST in front of ShareService.

The organization in these paths is the one that is shared with, not the one that acts: the parameter has another name.
"""

from fastapi import Response

from chassis.grpc.wire import to_timestamp
from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.base import json
from gateway.schemas.errors import errors
from gateway.schemas.shares import (
    RIGHTS,
    PutSnapshotShare,
    SnapshotShare,
    share_from_proto,
)
from ratoon.snapshots.v1 import share_pb2
from ratoon.snapshots.v1 import share_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_service_pb2 import SnapshotRef

operations = router("/snapshots/{id:segment}/shares", "snapshots")


@operations.get(
    "",
    operation_id="listSnapshotShares",
    summary="List the organizations that a snapshot is shared with",
    response_model=list[SnapshotShare],
    responses=errors(404),
)
@guarded("snapshots.ShareService/ListShares")
async def list_snapshot_shares(call: Call, id: Segment) -> Response:
    request = pb.ListSharesRequest(
        organization_id=call.caller.organization_id, ref=SnapshotRef(text=id)
    )
    answer = await call.rpc(call.services.shares.ListShares, request)
    return json([share_from_proto(s) for s in answer.shares])


@operations.get(
    "/{receiverId:segment}",
    operation_id="getSnapshotShare",
    summary="Say what an organization may do with a snapshot",
    response_model=SnapshotShare,
    responses=errors(404),
)
@guarded("snapshots.ShareService/GetShare")
async def get_snapshot_share(call: Call, id: Segment, receiverId: Segment) -> Response:
    request = pb.GetShareRequest(
        organization_id=call.caller.organization_id,
        ref=SnapshotRef(text=id),
        receiver_id=receiverId,
    )
    answer = await call.rpc(call.services.shares.GetShare, request)
    return _told(call, answer.share)


@operations.put(
    "/{receiverId:segment}",
    operation_id="putSnapshotShare",
    summary="Share a snapshot with an organization, or change what that may do",
    response_model=SnapshotShare,
    responses=errors(404, 409, 412, body=True),
)
@guarded("snapshots.ShareService/PutShare")
async def put_snapshot_share(
    call: Call, id: Segment, receiverId: Segment, body: PutSnapshotShare
) -> Response:
    request = pb.PutShareRequest(
        organization_id=call.caller.organization_id,
        ref=SnapshotRef(text=id),
        receiver_id=receiverId,
        rights=[RIGHTS[name] for name in body.rights],
        expire_time=to_timestamp(body.expires_at),
        if_revision=call.if_revision,
    )
    answer = await call.rpc(call.services.shares.PutShare, request)
    return _told(call, answer.share)


@operations.delete(
    "/{receiverId:segment}",
    operation_id="deleteSnapshotShare",
    summary="Withdraw a share, from the next request on; its receiver may do so, too",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(400, 404, 412),
)
@guarded("snapshots.ShareService/DeleteShare")
async def delete_snapshot_share(call: Call, id: Segment, receiverId: Segment) -> Response:
    request = pb.DeleteShareRequest(
        organization_id=call.caller.organization_id,
        ref=SnapshotRef(text=id),
        receiver_id=receiverId,
        if_revision=call.if_revision,
    )
    await call.rpc(call.services.shares.DeleteShare, request)
    return Response(status_code=204)


def _told(call: Call, share: share_pb2.Share) -> Response:
    call.say_revision(share.revision)
    return json(share_from_proto(share))
