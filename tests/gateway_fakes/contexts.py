"""The storage for build contexts, made up."""

from typing import Any

from chassis.errors import Kind, Refusal
from ratoon.snapshots.v1 import context_pb2, context_service_pb2, context_service_pb2_grpc
from tests.gateway_fakes.calls import STAMP, Calls


class NotConfigured(Refusal):
    kind, reason = Kind.UNAVAILABLE, "OBJECT_STORAGE_NOT_CONFIGURED"


class FakeContexts(context_service_pb2_grpc.ContextServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()
        self.configured = True

    async def IssueUploadAccess(
        self, request: context_service_pb2.IssueUploadAccessRequest, context: Any
    ) -> context_service_pb2.IssueUploadAccessResponse:
        await self.calls.heard("IssueUploadAccess", request, context)
        if not self.configured:
            raise NotConfigured("this installation has no storage for build contexts")
        access = context_pb2.UploadAccess(
            access_key="ASIA0000",
            secret="hush",
            session_token="a.b.c",
            storage_url="https://127.0.0.1:9000",
            bucket="contexts",
            region="us-east-1",
            expire_time=STAMP,
        )
        return context_service_pb2.IssueUploadAccessResponse(access=access)
