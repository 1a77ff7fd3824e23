"""One method per RPC."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from grpc.aio import ServicerContext
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import idempotency
from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from ratoon.snapshots.v1 import snapshot_pb2
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_service_pb2_grpc import SnapshotServiceServicer
from services.snapshots.commands import create, lifecycle
from services.snapshots.convert.drafts import draft_from_proto, wants_build
from services.snapshots.convert.pages import page_from_proto
from services.snapshots.convert.snapshots import created_to_proto, fill, fill_build, whole
from services.snapshots.domain import (
    NO_BUILDS,
    BuilderUnavailable,
    Draft,
    Limits,
    OrganizationGone,
)
from services.snapshots.peers import Organizations
from services.snapshots.queries import one, usage
from services.snapshots.queries.builds import builds_of
from services.snapshots.queries.one import uuid_from
from services.snapshots.queries.page import Pages, is_costly
from services.snapshots.queries.progress import progress_of
from services.snapshots.queries.rows import (
    BUILD_ID,
    GENERAL,
    ORGANIZATION_ID,
    PULL_ID,
    SHARED_USE,
    Row,
)
from services.snapshots.servicer.attempts import change, under_limits
from services.snapshots.servicer.logs import Logs
from services.snapshots.servicer.notifier import Notifier
from services.snapshots.servicer.reviews import Reviews
from services.snapshots.servicer.turns import Turns

Context = ServicerContext[Any, Any]
# Of one organization: fewer than there are connections, so that the others always find one.
_PAGES_AT_ONCE, _COSTLY_AT_ONCE = 4, 1


@dataclass(frozen=True, slots=True)
class Tools:
    """What all calls share."""

    organizations: Organizations
    pages: Pages
    reviews: Reviews
    notifier: Notifier
    logs: Logs


class SnapshotServicer(SnapshotServiceServicer):
    """Serves the snapshots of all organizations; the door has checked who calls and for which.

    `no_builder`: why nothing is built here; empty: something is.
    """

    def __init__(self, database: Database, tools: Tools, no_builder: str) -> None:
        self._sessions, self._pool = database.sessions, database.pool
        self._organizations, self._pages = tools.organizations, tools.pages
        self._reviews, self._notifier, self._logs = tools.reviews, tools.notifier, tools.logs
        self._no_builder = no_builder
        self._usual, self._costly = Turns(_PAGES_AT_ONCE), Turns(_COSTLY_AT_ONCE)

    async def CreateSnapshot(
        self, request: pb.CreateSnapshotRequest, context: Context
    ) -> pb.CreateSnapshotResponse:
        async def create_under(limits: Limits) -> tuple[pb.CreateSnapshotResponse, bool]:
            draft = draft_from_proto(request, limits, time.time())
            if wants_build(request) and self._no_builder:
                raise BuilderUnavailable(f"{NO_BUILDS}: {self._no_builder}")
            if request.request_id:
                return await self._create_once(request, draft, limits)
            async with self._pool.acquire() as connection:
                return await _create(connection, request, draft, limits)

        answer, work = await under_limits(
            self._organizations, request.organization_id, create_under
        )
        self._notifier.touch(work=work)
        return answer

    async def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.GetUsageResponse:
        used = await usage.used(self._pool, UUID(request.organization_id))
        return pb.GetUsageResponse(snapshots=used)

    async def ApplyLimits(
        self, request: pb.ApplyLimitsRequest, context: Context
    ) -> pb.ApplyLimitsResponse:
        id_ = uuid_from(request.organization_id)
        if id_ is None:
            raise OrganizationGone("there is no such organization")
        await self._reviews.apply(id_)
        return pb.ApplyLimitsResponse()

    async def ListSnapshots(
        self, request: pb.ListSnapshotsRequest, context: Context
    ) -> pb.ListSnapshotsResponse:
        wanted = page_from_proto(request)
        turns = self._costly if is_costly(wanted) else self._usual
        async with turns.of(request.organization_id):
            rows, total = await self._pages.read(UUID(request.organization_id), wanted)
        progress = await progress_of(self._pool, {r[PULL_ID] for r in rows if r[PULL_ID]})
        limits = await self._limits_for(request.organization_id, rows)
        builds = await builds_of(self._pool, _builds(request.organization_id, rows))
        answer = pb.ListSnapshotsResponse(total_size=total)
        add = answer.snapshots.add
        for row in rows:
            snapshot = add()
            theirs = limits is not None and _is_somebody_elses(row, request.organization_id)
            fill(snapshot, row, progress.get(row[PULL_ID]), limits if theirs else None)
            if (build := builds.get(row[BUILD_ID])) is not None:
                fill_build(snapshot, build)
        return answer

    async def GetSnapshot(
        self, request: pb.GetSnapshotRequest, context: Context
    ) -> pb.GetSnapshotResponse:
        row = await one.get(self._pool, UUID(request.organization_id), request.ref.text)
        limits = await self._limits_for(request.organization_id, (row,))
        snapshot = await self._whole(request.organization_id, row, limits)
        return pb.GetSnapshotResponse(snapshot=snapshot)

    async def DeleteSnapshot(
        self, request: pb.DeleteSnapshotRequest, context: Context
    ) -> pb.DeleteSnapshotResponse:
        organization_id = UUID(request.organization_id)
        await change(
            self._sessions, lambda s: lifecycle.delete(s, organization_id, request.ref.text)
        )
        return pb.DeleteSnapshotResponse()

    async def ActivateSnapshot(
        self, request: pb.ActivateSnapshotRequest, context: Context
    ) -> pb.ActivateSnapshotResponse:
        row = await self._bring_back(lifecycle.activate, request)
        snapshot = await self._whole(request.organization_id, row, None)
        return pb.ActivateSnapshotResponse(snapshot=snapshot)

    async def RetrySnapshot(
        self, request: pb.RetrySnapshotRequest, context: Context
    ) -> pb.RetrySnapshotResponse:
        row = await self._bring_back(lifecycle.retry, request)
        snapshot = await self._whole(request.organization_id, row, None)
        return pb.RetrySnapshotResponse(snapshot=snapshot)

    async def DeactivateSnapshot(
        self, request: pb.DeactivateSnapshotRequest, context: Context
    ) -> pb.DeactivateSnapshotResponse:
        organization_id = UUID(request.organization_id)
        await change(
            self._sessions, lambda s: lifecycle.deactivate(s, organization_id, request.ref.text)
        )
        return pb.DeactivateSnapshotResponse()

    async def StreamBuildLog(
        self, request: pb.StreamBuildLogRequest, context: Context
    ) -> AsyncIterator[pb.StreamBuildLogResponse]:
        log = self._logs.read(
            UUID(request.organization_id),
            request.ref.text,
            version=request.version,
            offset=max(0, request.offset),
            follow=request.follow,
        )
        async for piece in log:
            yield pb.StreamBuildLogResponse(data=piece)

    async def _bring_back(
        self, command: Any, request: pb.ActivateSnapshotRequest | pb.RetrySnapshotRequest
    ) -> Row:
        async def act_under(limits: Limits) -> Row:
            async def act(session: AsyncSession) -> Row:
                ref, organization_id = request.ref.text, UUID(request.organization_id)
                id_ = await command(
                    *(session, organization_id, ref, limits, time.time()),
                    no_builder=self._no_builder,
                )
                return await one.by_id(session, id_)

            return await change(self._sessions, act)

        return await under_limits(self._organizations, request.organization_id, act_under)

    async def _create_once(
        self, request: pb.CreateSnapshotRequest, draft: Draft, limits: Limits
    ) -> tuple[pb.CreateSnapshotResponse, bool]:
        """Create under the client's key: the same request again gets the first answer."""
        caller, sent = current_caller.get(), request.SerializeToString(deterministic=True)
        who = caller.user_id or caller.api_key_id
        scope = f"CreateSnapshot/{request.organization_id}/{who}"
        async with self._sessions.begin() as session:
            before = await idempotency.replay(session, scope, request.request_id, sent)
            if before is not None:
                return pb.CreateSnapshotResponse.FromString(before), False
            raw = await (await session.connection()).get_raw_connection()
            answer, work = await _create(raw.driver_connection, request, draft, limits)
            kept = answer.SerializeToString()
            await idempotency.record(session, scope, request.request_id, sent, kept)
        return answer, work

    async def _whole(
        self, organization_id: str, row: Row, limits: Limits | None
    ) -> snapshot_pb2.Snapshot:
        """Return the message of one row that was read with its work."""
        snapshot = whole(row, limits)
        for build in (await builds_of(self._pool, _builds(organization_id, (row,)))).values():
            fill_build(snapshot, build)
        return snapshot

    async def _limits_for(self, organization_id: str, rows: Any) -> Limits | None:
        """Return the limits by which regions are hidden, if there is anything of somebody else."""
        if any(_is_somebody_elses(row, organization_id) for row in rows):
            return await self._organizations.limits_of(organization_id)
        return None


async def _create(
    connection: create.Connection,
    request: pb.CreateSnapshotRequest,
    draft: Draft,
    limits: Limits,
) -> tuple[pb.CreateSnapshotResponse, bool]:
    """Return the answer, and whether there is new work."""
    organization_id = UUID(request.organization_id)
    quota, revision = limits.snapshot_quota, limits.revision
    id_, made = await create.create(
        connection, organization_id, draft, quota=quota, revision=revision
    )
    answer = created_to_proto(id_, request.organization_id, draft, made)
    if draft.build is not None:
        for build in (await builds_of(connection, (made[create.BUILD_ID],))).values():
            fill_build(answer.snapshot, build)
    return answer, made[create.STARTED]


def _builds(organization_id: str, rows: Any) -> set[UUID]:
    """Return which builds to tell of: a Dockerfile is for its organization alone, also that of a general snapshot."""
    own = (row for row in rows if row[ORGANIZATION_ID] == organization_id)
    return {row[BUILD_ID] for row in own if row[BUILD_ID] is not None}


def _is_somebody_elses(row: Row, organization_id: str) -> bool:
    may_be = row[GENERAL] or row[SHARED_USE] is not None
    return bool(may_be and row[ORGANIZATION_ID] != organization_id)
