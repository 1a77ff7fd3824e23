"""What is done to many snapshots, some at a time: each piece in one transaction, with its place in the job.

A job has no lease: whoever does a piece of it holds its row, and with a crash the row is free and the piece undone. The
job that waited longest is next, so that organizations take turns.
"""

import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.origin import Origin, current_origin
from services.snapshots.commands.lifecycle import (
    check_usable,
    former_of,
    leave_work,
    to_be_had,
)
from services.snapshots.commands.moves import move, standing, wake_workers
from services.snapshots.domain import (
    BuilderUnavailable,
    Limits,
    OrganizationGone,
    State,
    StateConflict,
)
from services.snapshots.domain.bulk import (
    MOST_ITEMS,
    MOST_JOBS,
    Action,
    BulkTooLarge,
    BulkTooMany,
    Item,
    Outcome,
    Verdict,
    judge,
)
from services.snapshots.queries import bulk as queries
from services.snapshots.queries.one import uuid_from

KEPT = "7 days"
_encode = msgspec.json.Encoder().encode
# Those who begin jobs of one organization do it one after the other.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('bulk ' || :organization_id, 0))")
_UNFINISHED = text(
    "SELECT count(*) FROM bulk_jobs WHERE organization_id = :organization_id AND finished_at IS NULL"
)
_BEGIN = text("""
INSERT INTO bulk_jobs (id, organization_id, action, total, origin, finished_at)
VALUES (:id, :organization_id, :action, :total, CAST(:origin AS jsonb), CASE WHEN :total = 0 THEN now() END)
""")
_FILL = text("""
INSERT INTO bulk_items (job_id, position, given, snapshot_id)
SELECT :id, position - 1, given, snapshot_id
FROM unnest(CAST(:given AS text[]), CAST(:ids AS uuid[])) WITH ORDINALITY AS i (given, snapshot_id, position)
""")
_NEXT = text("""
SELECT id, organization_id, action FROM bulk_jobs WHERE finished_at IS NULL
ORDER BY touched_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_HOLD = text("""
SELECT id, organization_id, action, next, origin::text AS origin FROM bulk_jobs
WHERE id = :id AND finished_at IS NULL FOR UPDATE SKIP LOCKED
""")
_PIECE = text("""
SELECT position, given, snapshot_id FROM bulk_items
WHERE job_id = :id AND position >= :next ORDER BY position LIMIT :size
""")
_STORED = text("SELECT id FROM artifacts WHERE id = ANY(:ids) AND stored ORDER BY id FOR KEY SHARE")
_NOTE = text("""
UPDATE bulk_items AS i SET outcome = v.outcome, code = v.code, name = v.name
FROM unnest(CAST(:positions AS int[]), CAST(:outcomes AS smallint[]), CAST(:codes AS text[]), CAST(:names AS text[]))
    AS v (position, outcome, code, name)
WHERE i.job_id = :id AND i.position = v.position
""")
_COUNT = text("""
UPDATE bulk_jobs SET next = next + :n, done = done + :done, unchanged = unchanged + :unchanged,
    refused = refused + :refused, touched_at = clock_timestamp(),
    finished_at = CASE WHEN next + :n >= total THEN clock_timestamp() END
WHERE id = :id
""")
_LATER = text("UPDATE bulk_jobs SET touched_at = clock_timestamp() WHERE id = :id")
_FORGET = text(f"""
DELETE FROM bulk_jobs WHERE id IN (
    SELECT id FROM bulk_jobs WHERE finished_at < now() - interval '{KEPT}' LIMIT :limit)
RETURNING id
""")
_NOW = text("SELECT clock_timestamp()")


async def items_of(
    session: AsyncSession, organization_id: UUID, given: Sequence[str], name_contains: str
) -> list[Item]:
    """Return what a job is about, each once. Refused with BULK_TOO_LARGE."""
    wanted = list(dict.fromkeys(given))
    if name_contains:
        wanted = await queries.matching(session, organization_id, name_contains)
    if len(wanted) > MOST_ITEMS:
        raise BulkTooLarge(f"at most {MOST_ITEMS} snapshots at once", most=str(MOST_ITEMS))
    return [Item(n, written, uuid_from(written)) for n, written in enumerate(wanted)]


async def begin(
    session: AsyncSession, organization_id: UUID, action: Action, items: Sequence[Item]
) -> UUID:
    """Make a job in the name of whoever asks now. Refused with BULK_TOO_MANY."""
    owner = {"organization_id": organization_id}
    await session.execute(_LOCK, {"organization_id": str(organization_id)})
    if await session.scalar(_UNFINISHED, owner) >= MOST_JOBS:
        raise BulkTooMany(f"{MOST_JOBS} jobs are not finished", most=str(MOST_JOBS))
    id_, origin = uuid4(), _encode(current_origin.get()).decode()
    job = {"id": id_, "action": action.value, "total": len(items), "origin": origin}
    await session.execute(_BEGIN, {**owner, **job})
    given, ids = [i.given for i in items], [i.snapshot_id for i in items]
    await session.execute(_FILL, {"id": id_, "given": given, "ids": ids})
    await wake_workers(session)
    return id_


async def preview(
    session: AsyncSession,
    organization_id: UUID,
    action: Action,
    items: Sequence[Item],
    limits: Limits,
) -> list[Verdict]:
    """Say what would become of each, now."""
    ids = [i.snapshot_id for i in items if i.snapshot_id is not None]
    standing_of = await queries.standings(session, organization_id, ids)
    room = limits.snapshot_quota - await queries.used(session, organization_id)
    return judge(action, items, standing_of, lambda s: check_usable(s, limits, time.time()), room)


async def next_job(session: AsyncSession) -> tuple[UUID, UUID, Action] | None:
    """Return id, organization and action of the job whose turn it is, if nobody works on it."""
    row = (await session.execute(_NEXT)).one_or_none()
    return None if row is None else (row.id, row.organization_id, Action(row.action))


async def put_off(session: AsyncSession, job_id: UUID) -> None:
    """Let the other jobs come first."""
    await session.execute(_LATER, {"id": job_id})


async def work(
    session: AsyncSession, job_id: UUID, limits: Limits | None, size: int, no_builder: str
) -> bool:
    """Do the next `size` items of a job. False: it is done, or in somebody else's hands.

    `limits` are needed to activate; None: the organization is gone. `no_builder`: why nothing is built here. Raises Busy, QuotaExceeded or LimitsOutdated when
    somebody else changed the same meanwhile: nothing was done.
    """
    job = (await session.execute(_HOLD, {"id": job_id})).one_or_none()
    if job is None:
        return False
    bound = {"id": job_id, "next": job.next, "size": size}
    items = [Item(*row) for row in (await session.execute(_PIECE, bound)).all()]
    asked_for = current_origin.set(msgspec.json.decode(job.origin, type=Origin))
    try:
        verdicts = await _do(session, job, items, limits, no_builder)
    finally:
        current_origin.reset(asked_for)
    await _note(session, job_id, verdicts)
    return True


async def forget(session: AsyncSession, *, limit: int = 5) -> int:
    """Forget some of the jobs that ended long ago, with their many items; return how many."""
    return len((await session.execute(_FORGET, {"limit": limit})).all())


async def _do(
    session: AsyncSession,
    job: Any,
    items: Sequence[Item],
    limits: Limits | None,
    no_builder: str,
) -> list[Verdict]:
    organization_id, action = job.organization_id, Action(job.action)
    if action is Action.ACTIVATE and limits is None:
        return [Verdict(item, Outcome.REFUSED, OrganizationGone.reason) for item in items]
    ids = [i.snapshot_id for i in items if i.snapshot_id is not None]
    standing_of = await queries.standings(session, organization_id, ids)
    if limits is None:
        verdicts = judge(action, items, standing_of, lambda _: None, 0)
    else:
        verdicts = await preview(session, organization_id, action, items, limits)
    chosen = [v.snapshot for v in verdicts if v.outcome is Outcome.DONE]
    if action is Action.DEACTIVATE:
        await leave_work(session, organization_id, chosen, State.INACTIVE)
    elif action is Action.REMOVE:
        await leave_work(session, organization_id, chosen, State.REMOVING)
        await wake_workers(session)
    elif limits is not None:
        refused = await _activate(session, organization_id, chosen, limits, no_builder)
        verdicts = [_refused(v, refused.get(v.item.snapshot_id, "")) for v in verdicts]
    return verdicts


def _refused(verdict: Verdict, reason: str) -> Verdict:
    if not reason:
        return verdict
    return Verdict(verdict.item, Outcome.REFUSED, reason, verdict.snapshot)


async def _activate(
    session: AsyncSession,
    organization_id: UUID,
    snapshots: Sequence[Any],
    limits: Limits,
    no_builder: str,
) -> dict[UUID | None, str]:
    """Bring back together what has its artifact, and one kind of work after the other what has not.

    Return those that nothing makes again, and the reason of each.
    """
    artifacts = sorted({s.artifact_id for s in snapshots if s.artifact_id is not None})
    stored = set((await session.scalars(_STORED, {"ids": artifacts})).all())
    ready = [s for s in snapshots if s.artifact_id in stored and s.size_bytes is not None]
    now, standings = await session.scalar(_NOW), [standing(s) for s in ready]
    await move(session, organization_id, standings, State.ACTIVE, limits=limits, last_used_at=now)
    there = {s.id for s in ready}
    rest = sorted((s for s in snapshots if s.id not in there), key=_kind)
    refused: dict[UUID | None, str] = {}
    for _, alike in groupby(rest, key=_kind):
        those = list(alike)
        try:
            to, values = await to_be_had(session, organization_id, those[0], no_builder)
        except (StateConflict, BuilderUnavailable) as refusal:
            refused |= {s.id: refusal.reason for s in those}
            continue
        standings = [standing(s) for s in those]
        former = former_of(those[0], values)
        await move(session, organization_id, standings, to, limits=limits, former=former, **values)
    return refused


def _kind(snapshot: Any) -> tuple[str, str, str]:
    """Return what two snapshots have in common that come back by the same work."""
    return snapshot.image_ref, str(snapshot.build_id or ""), str(snapshot.artifact_id or "")


async def _note(session: AsyncSession, job_id: UUID, verdicts: Sequence[Verdict]) -> None:
    told = {
        "positions": [v.item.position for v in verdicts],
        "outcomes": [v.outcome.value for v in verdicts],
        "codes": [v.code for v in verdicts],
        "names": [v.name for v in verdicts],
    }
    await session.execute(_NOTE, {"id": job_id, **told})
    counts = {o.name.lower(): sum(v.outcome is o for v in verdicts) for o in Outcome}
    counts.pop("waiting")
    await session.execute(_COUNT, {"id": job_id, "n": len(verdicts), **counts})
