"""SnapshotUseService over gRPC."""

import time
from typing import Any
from uuid import UUID

from grpc.aio import ServicerContext
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from chassis.grpc.wire import from_timestamp
from ratoon.snapshots.v1 import snapshot_use_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_use_service_pb2_grpc import SnapshotUseServiceServicer
from services.snapshots.commands import uses
from services.snapshots.convert.snapshots import whole
from services.snapshots.domain import Limits, OrganizationGone, UseInvalid
from services.snapshots.peers import Organizations
from services.snapshots.queries import one
from services.snapshots.queries.one import uuid_from
from services.snapshots.queries.rows import ORGANIZATION_ID, Row
from services.snapshots.servicer.attempts import change, under_limits

Context = ServicerContext[Any, Any]
_MOST = 1000


class UseServicer(SnapshotUseServiceServicer):
    """Serves the machines that start sandboxes: they say in whose name they ask."""

    def __init__(self, sessions: Sessions, organizations: Organizations) -> None:
        self._sessions = sessions
        self._organizations = organizations

    async def ResolveForUse(
        self, request: pb.ResolveForUseRequest, context: Context
    ) -> pb.ResolveForUseResponse:
        organization_id = uuid_from(request.organization_id)
        if organization_id is None:
            raise OrganizationGone("there is no such organization")
        use_id = _id(request.use_id) if request.use_id else None

        async def resolve_under(limits: Limits) -> tuple[Row, bool, Limits]:
            async def resolve(session: AsyncSession) -> tuple[Row, bool, Limits]:
                now = time.time()
                found, activated = await uses.resolve(
                    session, organization_id, request.ref, request.region_id, use_id, limits, now
                )
                return await one.by_id(session, found), activated, limits

            return await change(self._sessions, resolve)

        row, activated, limits = await under_limits(
            self._organizations, request.organization_id, resolve_under
        )
        own = row[ORGANIZATION_ID] == str(organization_id)
        return pb.ResolveForUseResponse(
            snapshot=whole(row, None if own else limits), activated=activated
        )

    async def RecordUses(
        self, request: pb.RecordUsesRequest, context: Context
    ) -> pb.RecordUsesResponse:
        if len(request.uses) > _MOST:
            raise UseInvalid(f"at most {_MOST} uses at once", most=str(_MOST))
        told = [_use(use) for use in request.uses]
        if not told:
            return pb.RecordUsesResponse()
        async with self._sessions.begin() as session:
            recorded, unknown = await uses.record(session, told)
        return pb.RecordUsesResponse(
            recorded=recorded, unknown_snapshot_ids=[str(id_) for id_ in unknown]
        )


def _use(said: pb.Use) -> uses.Use:
    if not said.HasField("time"):
        raise UseInvalid("a use has a moment")
    try:
        used_at = from_timestamp(said.time)
    except (ValueError, OverflowError):
        raise UseInvalid("the moment is out of range") from None
    return uses.Use(_id(said.id), _id(said.snapshot_id), _id(said.organization_id), used_at)


def _id(text: str) -> UUID:
    id_ = uuid_from(text)
    if id_ is None:
        raise UseInvalid("ids are UUIDs")
    return id_
