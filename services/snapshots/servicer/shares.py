"""ShareService over gRPC."""

from typing import Any
from uuid import UUID

from grpc.aio import ServicerContext

from chassis.db import Database
from ratoon.snapshots.v1 import share_service_pb2 as pb
from ratoon.snapshots.v1.share_service_pb2_grpc import ShareServiceServicer
from services.snapshots.commands import shares
from services.snapshots.convert.shares import receiver_from, share_to_proto, terms_from_proto
from services.snapshots.queries import shares as queries
from services.snapshots.queries.one import uuid_from

Context = ServicerContext[Any, Any]


class ShareServicer(ShareServiceServicer):
    def __init__(self, database: Database) -> None:
        self._sessions = database.sessions
        self._pool = database.pool

    async def ListShares(
        self, request: pb.ListSharesRequest, context: Context
    ) -> pb.ListSharesResponse:
        rows = await queries.shares_of(self._pool, await self._own(request))
        return pb.ListSharesResponse(shares=[share_to_proto(row) for row in rows])

    async def GetShare(self, request: pb.GetShareRequest, context: Context) -> pb.GetShareResponse:
        snapshot_id = await self._own(request)
        receiver_id = uuid_from(request.receiver_id)
        if receiver_id is None:
            raise queries.not_shared(request.receiver_id)
        row = await queries.share(self._pool, snapshot_id, receiver_id)
        return pb.GetShareResponse(share=share_to_proto(row))

    async def PutShare(self, request: pb.PutShareRequest, context: Context) -> pb.PutShareResponse:
        terms = terms_from_proto(request)
        async with self._sessions.begin() as session:
            row = await shares.put(
                session, UUID(request.organization_id), request.ref.text, terms, request
            )
        return pb.PutShareResponse(share=share_to_proto(row))

    async def DeleteShare(
        self, request: pb.DeleteShareRequest, context: Context
    ) -> pb.DeleteShareResponse:
        receiver_id = receiver_from(request.receiver_id)
        async with self._sessions.begin() as session:
            await shares.delete(
                session,
                UUID(request.organization_id),
                request.ref.text,
                receiver_id,
                request,
            )
        return pb.DeleteShareResponse()

    async def _own(self, request: pb.ListSharesRequest | pb.GetShareRequest) -> UUID:
        ref = request.ref.text
        return await queries.own_id(self._pool, UUID(request.organization_id), ref, uuid_from(ref))
