"""/audit and /admin/audit: REST in front of AuditService."""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import Query, Response
from fastapi.routing import APIRoute
from starlette.responses import StreamingResponse

from gateway.access import PUBLIC, guarded, router
from gateway.audited import scenarios
from gateway.call import Call
from gateway.filters import PARAMETERS, filter_of
from gateway.paths import Segment
from gateway.schemas.audit import (
    AuditScenarios,
    AuditTargetScenario,
    Lines,
    PaginatedAuditLogs,
    line_from_proto,
)
from gateway.schemas.base import Moment, json
from gateway.schemas.errors import errors
from gateway.streams import pieces
from ratoon.orgs.v1 import audit_service_pb2 as pb

operations = router("")
_encode_lines = msgspec.json.Encoder().encode_lines
_FILTERED = {"parameters": PARAMETERS}
_LINES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/x-ndjson": {}}, "description": "An AuditLog a line"}
}
PageNumber = Annotated[int, Query(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=200)]
Since = Annotated[
    Moment | None, Query(alias="from", deprecated=True, description="As `createdAt[gte]`")
]
Until = Annotated[
    Moment | None, Query(alias="to", deprecated=True, description="As `createdAt[lte]`")
]
Token = Annotated[
    str, Query(alias="nextToken", max_length=2_000, description="Takes precedence over page")
]


@operations.get(
    "/audit/organizations/{organizationId:segment}",
    operation_id="getOrganizationAuditLogs",
    summary="List what was done and refused in an organization, newest first",
    tags=["audit"],
    response_model=PaginatedAuditLogs,
    response_model_exclude_unset=True,
    responses=errors(400),
    openapi_extra=_FILTERED,
)
@guarded("orgs.AuditService/ListAuditRecords")
async def get_organization_audit_logs(
    call: Call,
    organizationId: Segment,
    page: PageNumber = 1,
    limit: Limit = 100,
    since: Since = None,
    until: Until = None,
    next_token: Token = "",
) -> Response:
    organization_id = call.caller.organization_id
    request = pb.ListAuditRecordsRequest(
        organization_id=organization_id,
        filter=_filter(call, since, until),
        skip=(page - 1) * limit,
        page_size=limit,
        page_token=next_token,
    )
    async with call.visit.gateway.lists.of(organization_id):
        answer = await call.rpc(call.services.audit.ListAuditRecords, request)
        return _page(answer, page, limit)


@operations.get(
    "/admin/audit",
    operation_id="adminGetAllAuditLogs",
    summary="List what was done and refused in the whole installation, newest first",
    tags=["admin"],
    response_model=PaginatedAuditLogs,
    response_model_exclude_unset=True,
    responses=errors(400),
    openapi_extra=_FILTERED,
)
@guarded("orgs.AuditService/ListAllAuditRecords")
async def admin_get_all_audit_logs(
    call: Call,
    page: PageNumber = 1,
    limit: Limit = 100,
    since: Since = None,
    until: Until = None,
    next_token: Token = "",
) -> Response:
    request = pb.ListAllAuditRecordsRequest(
        filter=_filter(call, since, until),
        skip=(page - 1) * limit,
        page_size=limit,
        page_token=next_token,
    )
    async with call.visit.gateway.lists.of(call.caller.user_id):
        answer = await call.rpc(call.services.audit.ListAllAuditRecords, request)
        return _page(answer, page, limit)


@operations.get(
    "/audit/organizations/{organizationId:segment}/export",
    operation_id="exportOrganizationAuditLogs",
    summary="Get the whole log of an organization, oldest first, a line each",
    tags=["audit"],
    response_class=StreamingResponse,
    response_model=None,
    responses=_LINES | errors(400),
    openapi_extra=_FILTERED,
)
@guarded("orgs.AuditService/ExportAuditRecords")
async def export_organization_audit_logs(
    call: Call, organizationId: Segment, since: Since = None, until: Until = None
) -> Response:
    request = pb.ExportAuditRecordsRequest(
        organization_id=call.caller.organization_id, filter=_filter(call, since, until)
    )
    stream = call.begin(call.services.audit.ExportAuditRecords, request)
    # The first records are awaited before anything is answered, so that a refusal has its status.
    first = await stream.read()
    return StreamingResponse(_lines(call, first, stream), media_type="application/x-ndjson")


@operations.get(
    "/audit/scenarios",
    operation_id="getAuditScenarios",
    summary="Say which actions on what may appear in the log",
    tags=["audit"],
    response_model=AuditScenarios,
    responses=errors(public=True),
)
@guarded(PUBLIC)
async def get_audit_scenarios(call: Call) -> AuditScenarios:
    served = (r.operation_id for r in call.app.routes if isinstance(r, APIRoute))
    found = scenarios(name for name in served if name)
    return AuditScenarios(
        targets=[AuditTargetScenario(target_type=t, actions=a) for t, a in found.items()]
    )


def _filter(call: Call, since: datetime | None, until: datetime | None) -> pb.AuditFilter:
    return filter_of(call.query_params.multi_items(), since, until)


def _page(answer: Any, page: int, limit: int) -> Response:
    items, total = [line_from_proto(r) for r in answer.records], answer.total_size
    return json(Lines(items, total, page, -(-total // limit), answer.next_page_token))


async def _lines(call: Call, first: Any, stream: Any) -> AsyncIterator[bytes]:
    async with aclosing(pieces(call, first, stream)) as said:
        async for piece in said:
            yield _encoded(piece.records)


def _encoded(records: Iterable[Any]) -> bytes:
    return _encode_lines(line_from_proto(r) for r in records)
