"""/snapshots: REST in front of SnapshotService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from starlette.responses import StreamingResponse

from gateway.access import guarded, router
from gateway.call import Call
from gateway.links import own_url
from gateway.paths import Segment
from gateway.schemas.base import json
from gateway.schemas.errors import errors
from gateway.schemas.snapshots import (
    CreateSnapshot,
    Page,
    PaginatedSnapshots,
    SnapshotDto,
    Url,
    snapshot_json,
)
from gateway.streams import pieces
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb

operations = router("/snapshots", "snapshots")
_SORTS = {
    "name": pb.SNAPSHOT_SORT_NAME,
    "state": pb.SNAPSHOT_SORT_STATE,
    "lastUsedAt": pb.SNAPSHOT_SORT_LAST_USED,
    "createdAt": pb.SNAPSHOT_SORT_CREATED,
}
Sort = Literal["name", "state", "lastUsedAt", "createdAt"]
_LOG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The log so far"}
}


@operations.get(
    "/{id:segment}",
    operation_id="getSnapshot",
    summary="Get a snapshot by its id or name",
    response_model=SnapshotDto,
    responses=errors(404),
)
@guarded("snapshots.SnapshotService/GetSnapshot")
async def get_snapshot(call: Call, id: Segment) -> Response:
    request = pb.GetSnapshotRequest(
        organization_id=call.caller.organization_id, ref=pb.SnapshotRef(text=id)
    )
    answer = await call.rpc(call.services.snapshots.GetSnapshot, request)
    return json(snapshot_json(answer.snapshot))


@operations.get(
    "",
    operation_id="getAllSnapshots",
    summary="List snapshots, page by page",
    response_model=PaginatedSnapshots,
    responses=errors(400),
)
@guarded("snapshots.SnapshotService/ListSnapshots")
async def get_all_snapshots(
    call: Call,
    page: Annotated[int, Query(ge=1, le=2**31 - 1)] = 1,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    name: Annotated[str, Query(max_length=1_024, description="Part of the name, in any case")] = "",
    source_sandbox_id: Annotated[str, Query(alias="sourceSandboxId", max_length=1_024)] = "",
    sort: Annotated[Sort, Query()] = "lastUsedAt",
    order: Annotated[Literal["asc", "desc"], Query()] = "desc",
) -> Response:
    organization_id = call.caller.organization_id
    request = pb.ListSnapshotsRequest(
        organization_id=organization_id,
        page_size=limit,
        skip=(page - 1) * limit,
        name_contains=_searched(name),
        source_sandbox_id=_searched(source_sandbox_id),
        sort=_SORTS[sort],
        ascending=order == "asc",
    )
    async with call.visit.gateway.lists.of(organization_id):
        answer = await call.rpc(call.services.snapshots.ListSnapshots, request)
        items = [snapshot_json(s) for s in answer.snapshots]
        total = answer.total_size
        return json(Page(items, total, page, -(-total // limit)))


@operations.post(
    "",
    operation_id="createSnapshot",
    summary="Create a snapshot",
    status_code=200,
    response_model=SnapshotDto,
    responses=errors(404, 409, body=True),
)
@guarded("snapshots.SnapshotService/CreateSnapshot")
async def create_snapshot(call: Call, body: CreateSnapshot) -> Response:
    request = pb.CreateSnapshotRequest(
        organization_id=call.caller.organization_id,
        name=body.name,
        image_ref=body.image_name or "",
        entrypoint=body.entrypoint or (),
        cpu=body.cpu,
        gpu=body.gpu,
        memory=body.memory,
        disk=body.disk,
        region_id=body.region_id or "",
        request_id=call.idempotency_key,
    )
    if body.build_info is not None:
        request.build.dockerfile = body.build_info.dockerfile_content
        request.build.context_hashes.extend(body.build_info.context_hashes or ())
    answer = await call.rpc(call.services.snapshots.CreateSnapshot, request)
    return json(snapshot_json(answer.snapshot))


@operations.delete(
    "/{id:segment}",
    operation_id="removeSnapshot",
    summary="Delete a snapshot",
    status_code=200,
    response_class=Response,
    response_model=None,
    responses=errors(400, 404),
)
@guarded("snapshots.SnapshotService/DeleteSnapshot")
async def remove_snapshot(call: Call, id: Segment) -> Response:
    request = pb.DeleteSnapshotRequest(
        organization_id=call.caller.organization_id, ref=pb.SnapshotRef(text=id)
    )
    await call.rpc(call.services.snapshots.DeleteSnapshot, request)
    return Response(status_code=200)


@operations.post(
    "/{id:segment}/activate",
    operation_id="activateSnapshot",
    summary="Bring an inactive snapshot back",
    status_code=200,
    response_model=SnapshotDto,
    responses=errors(400, 404),
)
@guarded("snapshots.SnapshotService/ActivateSnapshot")
async def activate_snapshot(call: Call, id: Segment) -> Response:
    request = pb.ActivateSnapshotRequest(
        organization_id=call.caller.organization_id, ref=pb.SnapshotRef(text=id)
    )
    answer = await call.rpc(call.services.snapshots.ActivateSnapshot, request)
    return json(snapshot_json(answer.snapshot))


@operations.post(
    "/{id:segment}/deactivate",
    operation_id="deactivateSnapshot",
    summary="Take a snapshot out of use",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(400, 404),
)
@guarded("snapshots.SnapshotService/DeactivateSnapshot")
async def deactivate_snapshot(call: Call, id: Segment) -> Response:
    request = pb.DeactivateSnapshotRequest(
        organization_id=call.caller.organization_id, ref=pb.SnapshotRef(text=id)
    )
    await call.rpc(call.services.snapshots.DeactivateSnapshot, request)
    return Response(status_code=204)


@operations.post(
    "/{id:segment}/retry",
    operation_id="retrySnapshot",
    summary="Try a failed snapshot again",
    status_code=200,
    response_model=SnapshotDto,
    responses=errors(400, 404, 409),
)
@guarded("snapshots.SnapshotService/RetrySnapshot")
async def retry_snapshot(call: Call, id: Segment) -> Response:
    request = pb.RetrySnapshotRequest(
        organization_id=call.caller.organization_id, ref=pb.SnapshotRef(text=id)
    )
    answer = await call.rpc(call.services.snapshots.RetrySnapshot, request)
    return json(snapshot_json(answer.snapshot))


@operations.get(
    "/{id:segment}/build-logs",
    operation_id="getSnapshotBuildLogs",
    summary="Read the log of a snapshot's build",
    deprecated=True,
    response_class=StreamingResponse,
    response_model=None,
    responses=_LOG | errors(400, 404),
)
@guarded("snapshots.SnapshotService/StreamBuildLog")
async def get_snapshot_build_logs(
    call: Call,
    id: Segment,
    follow: Annotated[bool, Query(description="Go on until the build ends")] = False,
    offset: Annotated[
        int, Query(ge=0, le=2**63 - 1, description="How many bytes of the log to leave out")
    ] = 0,
    version: Annotated[
        int,
        Query(
            ge=0,
            le=2**31 - 1,
            description="Number of a version; 0: the one that is being built, or was asked for last and failed, else the current one",
        ),
    ] = 0,
) -> Response:
    stream = _log(call, id, follow=follow, offset=offset, version=version)
    # The first piece is awaited before anything is answered, so that a refusal has its status.
    first = await stream.read()
    return StreamingResponse(_bytes(call, first, stream), media_type="application/octet-stream")


@operations.get(
    "/{id:segment}/build-logs-url",
    operation_id="getSnapshotBuildLogsUrl",
    summary="Say where the log of a snapshot's build is read",
    response_model=Url,
    responses=errors(404),
)
@guarded("snapshots.SnapshotService/StreamBuildLog")
async def get_snapshot_build_logs_url(call: Call, id: Segment) -> Url:
    stream = _log(call, id, follow=False)
    await stream.read()
    stream.cancel()
    return Url(url=own_url(call, ("snapshots", id, "build-logs")))


def _log(call: Call, id_: str, *, follow: bool, offset: int = 0, version: int = 0) -> Any:
    request = pb.StreamBuildLogRequest(
        organization_id=call.caller.organization_id,
        ref=pb.SnapshotRef(text=id_),
        follow=follow,
        offset=offset,
        version=version,
    )
    return call.begin(call.services.snapshots.StreamBuildLog, request)


async def _bytes(call: Call, first: Any, stream: Any) -> AsyncIterator[bytes]:
    async with aclosing(pieces(call, first, stream)) as said:
        async for piece in said:
            yield piece.data


def _searched(text: str) -> str:
    """No name holds a NUL, and no database takes one: search for what no name holds either."""
    return text.replace("\0", "\ufffd")
