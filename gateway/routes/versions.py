"""/snapshots/{id}/image and /snapshots/{id}/versions: REST in front of VersionService."""

from typing import Annotated

from fastapi import Path, Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.base import json
from gateway.schemas.errors import errors
from gateway.schemas.versions import SetSnapshotImage, SnapshotVersion, version_from_proto
from ratoon.snapshots.v1 import version_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_service_pb2 import SnapshotRef

operations = router("/snapshots/{id:segment}", "snapshots")
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the version")]


@operations.post(
    "/image",
    operation_id="setSnapshotImage",
    summary="Make a new version of a snapshot from another image",
    status_code=200,
    response_model=SnapshotVersion,
    responses=errors(404, 409, body=True),
)
@guarded("snapshots.VersionService/SetImage")
async def set_snapshot_image(call: Call, id: Segment, body: SetSnapshotImage) -> Response:
    request = pb.SetImageRequest(
        organization_id=call.caller.organization_id,
        ref=SnapshotRef(text=id),
        image_ref=body.image_name or "",
        request_id=call.idempotency_key,
    )
    if body.build_info is not None:
        request.build.dockerfile = body.build_info.dockerfile_content
        request.build.context_hashes.extend(body.build_info.context_hashes or ())
    answer = await call.rpc(call.services.versions.SetImage, request)
    return json(version_from_proto(answer.version))


@operations.get(
    "/versions",
    operation_id="listSnapshotVersions",
    summary="List the versions of a snapshot, the newest first",
    response_model=list[SnapshotVersion],
    responses=errors(404),
)
@guarded("snapshots.VersionService/ListVersions")
async def list_snapshot_versions(call: Call, id: Segment) -> Response:
    request = pb.ListVersionsRequest(
        organization_id=call.caller.organization_id, ref=SnapshotRef(text=id)
    )
    answer = await call.rpc(call.services.versions.ListVersions, request)
    return json([version_from_proto(v) for v in answer.versions])


@operations.post(
    "/versions/{number:segment}/rollback",
    operation_id="rollBackSnapshot",
    summary="Let a snapshot stand for a version again that it stood for before",
    status_code=200,
    response_model=SnapshotVersion,
    responses=errors(400, 404, 409),
)
@guarded("snapshots.VersionService/RollBack")
async def roll_back_snapshot(call: Call, id: Segment, number: Number) -> Response:
    request = pb.RollBackRequest(
        organization_id=call.caller.organization_id, ref=SnapshotRef(text=id), number=number
    )
    answer = await call.rpc(call.services.versions.RollBack, request)
    return json(version_from_proto(answer.version))
