"""ContextService over gRPC."""

import time
from typing import Any
from uuid import UUID

from grpc.aio import ServicerContext

from ratoon.snapshots.v1 import context_pb2
from ratoon.snapshots.v1 import context_service_pb2 as pb
from ratoon.snapshots.v1.context_service_pb2_grpc import ContextServiceServicer
from services.snapshots.domain.uploads import UploadAccess, Uploads
from services.snapshots.peers import Organizations

Context = ServicerContext[Any, Any]


class ContextServicer(ContextServiceServicer):
    """Opens the storage to whoever may use it; keeps nothing."""

    def __init__(self, uploads: Uploads, organizations: Organizations) -> None:
        self._uploads, self._organizations = uploads, organizations

    async def IssueUploadAccess(
        self, request: pb.IssueUploadAccessRequest, context: Context
    ) -> pb.IssueUploadAccessResponse:
        limits = await self._organizations.limits_of(request.organization_id)
        limits.check_not_suspended(time.time())
        access = await self._uploads.issue(UUID(request.organization_id))
        return pb.IssueUploadAccessResponse(access=_to_proto(access))


def _to_proto(access: UploadAccess) -> context_pb2.UploadAccess:
    message = context_pb2.UploadAccess(
        access_key=access.access_key,
        secret=access.secret,
        session_token=access.session_token,
        storage_url=access.storage_url,
        bucket=access.bucket,
        region=access.region,
    )
    message.expire_time.FromDatetime(access.expires)
    return message
