"""AuditService over gRPC."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from grpc.aio import ServicerContext

from chassis.db import Database
from chassis.pages import PageTokenInvalid, position_of, token_of
from ratoon.orgs.v1 import audit_pb2
from ratoon.orgs.v1 import audit_service_pb2 as pb
from ratoon.orgs.v1.audit_service_pb2_grpc import AuditServiceServicer
from services.orgs.commands import audit
from services.orgs.convert.audit import filter_from_proto, record_from_proto, record_to_proto
from services.orgs.domain import OrganizationForbidden, uuid_of
from services.orgs.domain.audit import LARGEST_PAGE, MOST_RECORDS, Filter, TooManyRecords
from services.orgs.queries import audit as queries
from services.orgs.queries.audit_export import export

Context = ServicerContext[Any, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What is filtered may look at all there is: never on all connections at once.
_COSTLY_AT_ONCE = 2


class AuditServicer(AuditServiceServicer):
    def __init__(self, database: Database) -> None:
        self._sessions = database.sessions
        self._pool = database.pool
        self._costly = asyncio.Semaphore(_COSTLY_AT_ONCE)

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: Context
    ) -> pb.ListAuditRecordsResponse:
        records, total, token = await self._page(_organization(request), request)
        return pb.ListAuditRecordsResponse(records=records, total_size=total, next_page_token=token)

    async def ListAllAuditRecords(
        self, request: pb.ListAllAuditRecordsRequest, context: Context
    ) -> pb.ListAllAuditRecordsResponse:
        records, total, token = await self._page(queries.EVERYBODY, request)
        return pb.ListAllAuditRecordsResponse(
            records=records, total_size=total, next_page_token=token
        )

    async def ExportAuditRecords(
        self, request: pb.ExportAuditRecordsRequest, context: Context
    ) -> AsyncIterator[pb.ExportAuditRecordsResponse]:
        filter_ = filter_from_proto(request.filter)
        async for rows in export(self._pool, _organization(request), filter_):
            yield pb.ExportAuditRecordsResponse(records=[record_to_proto(r) for r in rows])

    async def RecordRefusals(
        self, request: pb.RecordRefusalsRequest, context: Context
    ) -> pb.RecordRefusalsResponse:
        if len(request.records) > MOST_RECORDS:
            message = f"at most {MOST_RECORDS} records at once"
            raise TooManyRecords(message, most=str(MOST_RECORDS))
        records = [record_from_proto(r) for r in request.records]
        async with self._sessions.begin() as session:
            await audit.write(session, records)
        return pb.RecordRefusalsResponse()

    async def _page(
        self, whose: UUID, request: Any
    ) -> tuple[list[audit_pb2.AuditRecord], int, str]:
        filter_, wanted = filter_from_proto(request.filter), _wanted(request)
        page = await self._read(whose, wanted, filter_)
        token = ""
        if page.more:
            last = page.rows[-1]
            token = token_of(last[queries.CREATED], last[queries.ID])
        return [record_to_proto(r) for r in page.rows], page.total, token

    async def _read(self, whose: UUID, wanted: queries.Wanted, filter_: Filter) -> queries.Page:
        if not filter_:
            return await queries.page(self._pool, whose, wanted, filter_)
        async with self._costly:
            return await queries.page(self._pool, whose, wanted, filter_)


def _organization(request: Any) -> UUID:
    """Return the organization that is asked for; never the id that stands for everybody."""
    id_ = uuid_of(request.organization_id)
    if id_ is None or id_ == queries.EVERYBODY:
        raise OrganizationForbidden
    return id_


def _wanted(request: Any) -> queries.Wanted:
    """Return which page; a size out of range is brought into it. Refused with PAGE_TOKEN_INVALID."""
    limit = min(max(request.page_size, 1), LARGEST_PAGE)
    found = position_of(request.page_token, int, str)
    if found is None:
        return queries.Wanted(limit, skip=max(request.skip, 0))
    micros, id_ = found[0], uuid_of(found[1])
    if id_ is None:
        raise PageTokenInvalid
    try:
        return queries.Wanted(limit, after=(_EPOCH + timedelta(microseconds=micros), id_))
    except OverflowError:
        raise PageTokenInvalid from None
