"""VersionService over gRPC."""

import time
from typing import Any
from uuid import UUID

from grpc.aio import ServicerContext
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import idempotency
from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from ratoon.snapshots.v1 import version_service_pb2 as pb
from ratoon.snapshots.v1.version_service_pb2_grpc import VersionServiceServicer
from services.snapshots.commands import versions
from services.snapshots.convert.drafts import wish_from_proto
from services.snapshots.convert.versions import version_to_proto
from services.snapshots.domain import NO_BUILDS, BuilderUnavailable, Limits, Wish
from services.snapshots.peers import Organizations
from services.snapshots.queries import shares
from services.snapshots.queries import versions as queries
from services.snapshots.queries.one import uuid_from
from services.snapshots.servicer.attempts import change, under_limits

Context = ServicerContext[Any, Any]


class VersionServicer(VersionServiceServicer):
    """`no_builder`: why nothing is built here; empty: something is."""

    def __init__(self, database: Database, organizations: Organizations, no_builder: str) -> None:
        self._sessions = database.sessions
        self._pool = database.pool
        self._organizations = organizations
        self._no_builder = no_builder

    async def SetImage(self, request: pb.SetImageRequest, context: Context) -> pb.SetImageResponse:
        wish = wish_from_proto(request)
        if wish.recipe is not None and self._no_builder:
            raise BuilderUnavailable(f"{NO_BUILDS}: {self._no_builder}")

        async def set_under(limits: Limits) -> pb.SetImageResponse:
            async def act(session: AsyncSession) -> pb.SetImageResponse:
                return await _set_once(session, request, wish, limits)

            return await change(self._sessions, act)

        return await under_limits(self._organizations, request.organization_id, set_under)

    async def ListVersions(
        self, request: pb.ListVersionsRequest, context: Context
    ) -> pb.ListVersionsResponse:
        ref, organization_id = request.ref.text, UUID(request.organization_id)
        id_ = await shares.own_id(self._pool, organization_id, ref, uuid_from(ref))
        async with self._sessions.begin() as session:
            rows = await queries.versions_of(session, id_)
        return pb.ListVersionsResponse(versions=[version_to_proto(row) for row in rows])

    async def RollBack(self, request: pb.RollBackRequest, context: Context) -> pb.RollBackResponse:
        organization_id, number = UUID(request.organization_id), request.number

        async def roll_back_under(limits: Limits) -> Any:
            async def act(session: AsyncSession) -> Any:
                id_ = await versions.roll_back(
                    session,
                    organization_id,
                    request.ref.text,
                    number,
                    limits,
                    time.time(),
                    no_builder=self._no_builder,
                )
                return await queries.version(session, id_, number)

            return await change(self._sessions, act)

        row = await under_limits(self._organizations, request.organization_id, roll_back_under)
        return pb.RollBackResponse(version=version_to_proto(row))


async def _set_once(
    session: AsyncSession, request: pb.SetImageRequest, wish: Wish, limits: Limits
) -> pb.SetImageResponse:
    """Set the image; under the client's key if there is one: the same request again gets the first answer."""
    caller, sent = current_caller.get(), request.SerializeToString(deterministic=True)
    scope = f"SetImage/{request.organization_id}/{caller.user_id or caller.api_key_id}"
    if request.request_id:
        before = await idempotency.replay(session, scope, request.request_id, sent)
        if before is not None:
            return pb.SetImageResponse.FromString(before)
    organization_id = UUID(request.organization_id)
    id_, number = await versions.set_image(
        session, organization_id, request.ref.text, wish, limits, time.time()
    )
    row = await queries.version(session, id_, number)
    answer = pb.SetImageResponse(version=version_to_proto(row))
    if request.request_id:
        kept = answer.SerializeToString()
        await idempotency.record(session, scope, request.request_id, sent, kept)
    return answer
