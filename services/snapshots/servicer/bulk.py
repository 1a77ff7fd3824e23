"""BulkJobService over gRPC."""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from grpc.aio import ServicerContext

from chassis import idempotency
from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from ratoon.snapshots.v1 import bulk_job_pb2
from ratoon.snapshots.v1 import bulk_job_service_pb2 as pb
from ratoon.snapshots.v1.bulk_job_service_pb2_grpc import BulkJobServiceServicer
from services.snapshots.commands import bulk
from services.snapshots.domain import PageInvalid
from services.snapshots.domain.bulk import (
    NEEDED,
    Action,
    BulkInvalid,
    BulkJobNotFound,
    Outcome,
    PermissionMissing,
    Verdict,
)
from services.snapshots.peers import Organizations
from services.snapshots.queries import bulk as queries
from services.snapshots.queries.one import uuid_from
from services.snapshots.queries.rows import Row
from services.snapshots.servicer.turns import Turns

Context = ServicerContext[Any, Any]
_ACTIONS = {
    bulk_job_pb2.BULK_ACTION_ACTIVATE: Action.ACTIVATE,
    bulk_job_pb2.BULK_ACTION_DEACTIVATE: Action.DEACTIVATE,
    bulk_job_pb2.BULK_ACTION_REMOVE: Action.REMOVE,
}
_NUMBERS = {action: number for number, action in _ACTIONS.items()}
_PAGE_MOST, _SECOND = 1000, 1_000_000


class BulkServicer(BulkJobServiceServicer):
    """Takes jobs; a worker does them."""

    def __init__(self, database: Database, organizations: Organizations) -> None:
        self._sessions = database.sessions
        self._pool = database.pool
        self._organizations = organizations
        self._turns = Turns(1)

    async def CreateBulkJob(
        self, request: pb.CreateBulkJobRequest, context: Context
    ) -> pb.CreateBulkJobResponse:
        action = _action(request)
        async with self._turns.of(request.organization_id):
            if request.dry_run:
                return await self._preview(request, action)
            job_id = await self._begin(request, action)
        job, _ = await queries.job(
            self._pool, UUID(request.organization_id), job_id, limit=0, skip=0
        )
        return pb.CreateBulkJobResponse(job=_job(job))

    async def GetBulkJob(
        self, request: pb.GetBulkJobRequest, context: Context
    ) -> pb.GetBulkJobResponse:
        if not 1 <= request.page_size <= _PAGE_MOST or request.skip < 0:
            raise PageInvalid(f"a page holds 1 to {_PAGE_MOST} items", most=str(_PAGE_MOST))
        job_id = uuid_from(request.job_id)
        if job_id is None:
            raise BulkJobNotFound("there is no such job")
        organization_id, page = UUID(request.organization_id), request.page_size
        job, rows = await queries.job(
            self._pool, organization_id, job_id, limit=page, skip=request.skip
        )
        return pb.GetBulkJobResponse(job=_job(job), items=[_item(*row) for row in rows])

    async def _preview(
        self, request: pb.CreateBulkJobRequest, action: Action
    ) -> pb.CreateBulkJobResponse:
        limits = await self._organizations.limits_of(request.organization_id)
        id_ = UUID(request.organization_id)
        async with self._sessions.begin() as session:
            items = await bulk.items_of(session, id_, request.snapshot_ids, request.name_contains)
            verdicts = await bulk.preview(session, id_, action, items, limits)
        counts = Counter(v.outcome for v in verdicts)
        job = bulk_job_pb2.BulkJob(
            organization_id=request.organization_id,
            action=_NUMBERS[action],
            total=len(verdicts),
            done=counts[Outcome.DONE],
            unchanged=counts[Outcome.UNCHANGED],
            refused=counts[Outcome.REFUSED],
        )
        return pb.CreateBulkJobResponse(job=job, items=_foreseen(verdicts))

    async def _begin(self, request: pb.CreateBulkJobRequest, action: Action) -> UUID:
        """Begin the job, or return the one that was begun under the same key."""
        # An organization that is gone is refused here, not item by item.
        await self._organizations.limits_of(request.organization_id)
        id_, caller = UUID(request.organization_id), current_caller.get()
        scope = f"CreateBulkJob/{id_}/{caller.user_id or caller.api_key_id}"
        key, sent = request.request_id, request.SerializeToString(deterministic=True)
        async with self._sessions.begin() as session:
            if key:
                before = await idempotency.replay(session, scope, key, sent)
                if before is not None:
                    return UUID(bytes=before)
            items = await bulk.items_of(session, id_, request.snapshot_ids, request.name_contains)
            job_id = await bulk.begin(session, id_, action, items)
            if key:
                await idempotency.record(session, scope, key, sent, job_id.bytes)
        return job_id


def _action(request: pb.CreateBulkJobRequest) -> Action:
    """Return what is asked for, by somebody who may ask for it."""
    action = _ACTIONS.get(request.action)
    if action is None or bool(request.snapshot_ids) == bool(request.name_contains):
        raise BulkInvalid("say what to do, and to which: by ids, or by a part of the name")
    if "\0" in request.name_contains or any("\0" in id_ for id_ in request.snapshot_ids):
        raise BulkInvalid("no id and no name holds a NUL")
    if NEEDED[action] not in current_caller.get().permissions:
        needed = NEEDED[action]
        raise PermissionMissing(f"{needed} is required", permission=needed)
    return action


def _foreseen(verdicts: Sequence[Verdict]) -> list[bulk_job_pb2.BulkItem]:
    return [_item(v.item.given, v.name, v.outcome.value, v.code) for v in verdicts]


def _item(given: str, name: str, outcome: int, code: str) -> bulk_job_pb2.BulkItem:
    return bulk_job_pb2.BulkItem(
        snapshot_id=given,
        name=name,
        outcome=outcome,  # type: ignore[arg-type]  # the numbers are those of the contract
        code=code,
    )


def _job(row: Row) -> bulk_job_pb2.BulkJob:
    id_, organization_id, action, total, done, unchanged, refused, created, finished = row
    job = bulk_job_pb2.BulkJob(
        id=id_,
        organization_id=organization_id,
        action=_NUMBERS[Action(action)],
        total=total,
        done=done,
        unchanged=unchanged,
        refused=refused,
    )
    job.create_time.FromMicroseconds(created)
    if finished is not None:
        job.finish_time.FromMicroseconds(finished)
    return job
