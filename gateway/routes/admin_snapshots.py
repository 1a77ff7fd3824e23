"""/admin/snapshots: what administrators of the installation do with snapshots of any organization."""

from typing import Annotated

from fastapi import Query, Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.base import NO_NUL, json
from gateway.schemas.errors import errors
from gateway.schemas.snapshots import SetSnapshotGeneralStatus, SnapshotDto, snapshot_json
from ratoon.snapshots.v1 import snapshot_admin_service_pb2 as pb

operations = router("/admin/snapshots", "admin")
_Image = Annotated[
    str,
    Query(
        alias="imageName",
        min_length=1,
        max_length=1_024,
        pattern=NO_NUL,
        description="The image, with tag or digest",
    ),
]


@operations.get(
    "/can-cleanup-image",
    operation_id="adminCanCleanupImage",
    summary="Say whether nothing refers to an image any more",
    response_model=bool,
    responses=errors(400),
)
@guarded("snapshots.SnapshotAdminService/CanCleanupImage")
async def can_cleanup_image(call: Call, image_name: _Image) -> bool:
    request = pb.CanCleanupImageRequest(image_ref=image_name)
    method = call.services.snapshot_administration.CanCleanupImage
    return (await call.rpc(method, request)).unused


@operations.patch(
    "/{id:segment}/general",
    operation_id="adminSetSnapshotGeneralStatus",
    summary="Show a snapshot to every organization, or to its own alone",
    response_model=SnapshotDto,
    responses=errors(404, body=True),
)
@guarded("snapshots.SnapshotAdminService/SetSnapshotGeneral")
async def set_general(call: Call, id: Segment, body: SetSnapshotGeneralStatus) -> Response:
    request = pb.SetSnapshotGeneralRequest(snapshot_id=id, general=body.general)
    method = call.services.snapshot_administration.SetSnapshotGeneral
    return json(snapshot_json((await call.rpc(method, request)).snapshot))
