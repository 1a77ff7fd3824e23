"""/object-storage: REST in front of ContextService."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.schemas.errors import errors
from gateway.schemas.object_storage import StorageAccessDto, access_from_proto
from ratoon.snapshots.v1 import context_service_pb2 as pb

operations = router("/object-storage", "object-storage")


@operations.get(
    "/push-access",
    operation_id="getPushAccess",
    summary="Get credentials to upload build contexts with",
    response_model=StorageAccessDto,
    responses=errors(),
)
@guarded("snapshots.ContextService/IssueUploadAccess")
async def get_push_access(call: Call, response: Response) -> StorageAccessDto:
    organization_id = call.caller.organization_id
    request = pb.IssueUploadAccessRequest(organization_id=organization_id)
    answer = await call.rpc(call.services.contexts.IssueUploadAccess, request)
    response.headers["cache-control"] = "no-store"
    return access_from_proto(answer.access, organization_id)
