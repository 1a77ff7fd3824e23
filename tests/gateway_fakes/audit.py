"""The audit log, made up."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from ratoon.orgs.v1 import audit_pb2, audit_service_pb2_grpc
from ratoon.orgs.v1 import audit_service_pb2 as pb
from tests.gateway_fakes.calls import ORG, STAMP, USER, Calls


def a_line(n: int = 0, **more: Any) -> audit_pb2.AuditRecord:
    said = {"actor_id": USER, "action": "create", "create_time": STAMP, **more}
    return audit_pb2.AuditRecord(id=str(UUID(int=n, version=4)), **said)


class FakeAudit(audit_service_pb2_grpc.AuditServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()
        self.records = [
            a_line(
                1,
                actor_email="ada@example.com",
                actor_api_key_prefix="dtn",
                actor_api_key_suffix="abc",
                organization_id=ORG,
                target_type="api_key",
                target_id="ci",
                status_code=201,
                error_message="X: y",
                ip_address="203.0.113.9",
                user_agent="curl",
                source="cli",
                metadata='{"permissions": []}',
            ),
            a_line(2),
        ]
        self.refused: dict[str, audit_pb2.AuditRecord] = {}
        self.batches: list[int] = []

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: Any
    ) -> pb.ListAuditRecordsResponse:
        await self.calls.heard("ListAuditRecords", request, context)
        return pb.ListAuditRecordsResponse(
            records=self.records, total_size=201, next_page_token="there"
        )

    async def ListAllAuditRecords(
        self, request: pb.ListAllAuditRecordsRequest, context: Any
    ) -> pb.ListAllAuditRecordsResponse:
        await self.calls.heard("ListAllAuditRecords", request, context)
        return pb.ListAllAuditRecordsResponse(records=self.records, total_size=2)

    async def ExportAuditRecords(
        self, request: pb.ExportAuditRecordsRequest, context: Any
    ) -> AsyncIterator[pb.ExportAuditRecordsResponse]:
        await self.calls.heard("ExportAuditRecords", request, context)
        for record in self.records:
            yield pb.ExportAuditRecordsResponse(records=[record])
        await self.calls.heard("ExportAuditRecords went on", request, context)

    async def RecordRefusals(
        self, request: pb.RecordRefusalsRequest, context: Any
    ) -> pb.RecordRefusalsResponse:
        await self.calls.heard("RecordRefusals", request, context)
        self.batches.append(len(request.records))
        self.refused |= {record.id: record for record in request.records}
        return pb.RecordRefusalsResponse()
