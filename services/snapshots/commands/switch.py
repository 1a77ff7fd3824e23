"""The one way in which a snapshot comes to stand for another version: it stays what it was until that is whole."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands.moves import announce_all, wake_workers
from services.snapshots.domain import Failure, SnapshotVersionActivated, State

# An entrypoint that was asked for stands; the image's own goes with its image. What is gone back to is as it was.
_SWITCH = text("""
WITH chosen AS MATERIALIZED (
    SELECT c.id, c.number, s.version AS old
    FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS int[])) AS c (id, number) JOIN snapshots AS s USING (id))
, taken AS (
    DELETE FROM versions AS v USING chosen AS c WHERE v.snapshot_id = c.id AND v.number = c.number
    RETURNING v.*, c.old)
, former AS (
    INSERT INTO versions (snapshot_id, number, image_ref, state, artifact_id, ref, size_bytes, entrypoint,
        created_at, created_by, build_id)
    SELECT s.id, s.version, s.image_ref, 'inactive', s.artifact_id, s.ref, s.size_bytes, s.entrypoint,
        coalesce(s.version_at, s.created_at), s.version_by, s.build_id
    FROM snapshots AS s JOIN taken AS t ON t.snapshot_id = s.id)
, noted AS (INSERT INTO trims (snapshot_id) SELECT snapshot_id FROM taken ON CONFLICT DO NOTHING)
UPDATE snapshots AS s SET version = t.number, image_ref = t.image_ref, version_at = t.created_at,
    version_by = t.created_by, build_id = t.build_id, artifact_id = a.id, ref = a.repository || '@' || a.manifest_digest,
    size_bytes = a.size_bytes,
    entrypoint = CASE WHEN t.ref <> '' THEN t.entrypoint
        WHEN s.entrypoint IS NOT DISTINCT FROM (SELECT o.entrypoint FROM artifacts AS o WHERE o.id = s.artifact_id)
        THEN a.entrypoint ELSE s.entrypoint END,
    generation = s.generation + 1, updated_at = clock_timestamp(),
    last_used_at = CASE s.state WHEN 'active' THEN clock_timestamp() ELSE s.last_used_at END
FROM taken AS t, artifacts AS a WHERE s.id = t.snapshot_id AND a.id = :artifact_id
RETURNING s.id, s.name, t.old, t.number, s.ref, t.ref <> '' AS rolled_back
""")
_READY = text("""
SELECT v.snapshot_id AS id, v.number, s.state FROM versions AS v JOIN snapshots AS s ON s.id = v.snapshot_id
WHERE v.pull_id = :pull_id ORDER BY s.id FOR UPDATE OF s, v
""")
_KEEP = text("""
UPDATE versions AS v SET state = 'inactive', pull_id = NULL, artifact_id = a.id, size_bytes = a.size_bytes,
    ref = a.repository || '@' || a.manifest_digest,
    entrypoint = CASE WHEN v.ref <> '' THEN v.entrypoint ELSE a.entrypoint END
FROM artifacts AS a WHERE v.pull_id = :pull_id AND a.id = :artifact_id
""")
_FAIL = text("""
UPDATE versions SET state = 'error', pull_id = NULL, error_code = :code, error_reason = :reason,
    error_remedy = :remedy, size_bytes = coalesce(:size_bytes, size_bytes)
WHERE pull_id = :pull_id
""")
_TAKES = frozenset({State.ACTIVE, State.INACTIVE})


async def switch(
    session: AsyncSession,
    organization_id: UUID,
    chosen: Sequence[tuple[UUID, int]],
    artifact_id: UUID,
) -> None:
    """Let snapshots, which the caller holds, stand for other versions of theirs, whose artifact this is."""
    ids, numbers = [id_ for id_, _ in chosen], [number for _, number in chosen]
    bound: dict[str, Any] = {"ids": ids, "numbers": numbers, "artifact_id": artifact_id}
    rows: Sequence[Row[Any]] = (await session.execute(_SWITCH, bound)).all()
    events = [
        SnapshotVersionActivated(str(r.id), r.name, r.old, r.number, r.ref, r.rolled_back)
        for r in rows
    ]
    await announce_all(session, organization_id, events)
    # The oldest may have to let go of their bytes.
    await wake_workers(session)


async def finish(
    session: AsyncSession, organization_id: UUID, pull_id: UUID, artifact_id: UUID
) -> None:
    """Switch to the versions that waited for a pull.

    A snapshot that was lost meanwhile and fetches again what it stood for goes on with that; the version is kept for it.
    """
    rows = (await session.execute(_READY, {"pull_id": pull_id})).all()
    ready = [(row.id, row.number) for row in rows if row.state in _TAKES]
    if ready:
        await switch(session, organization_id, ready, artifact_id)
    if len(ready) < len(rows):
        await session.execute(_KEEP, {"pull_id": pull_id, "artifact_id": artifact_id})


async def fail(
    session: AsyncSession, pull_id: UUID, failure: Failure, *, size_bytes: int | None
) -> None:
    """Show on the versions that waited for a pull why they failed; their snapshots stay what they are."""
    said = {"code": failure.code, "reason": failure.reason, "remedy": failure.remedy}
    await session.execute(_FAIL, {"pull_id": pull_id, "size_bytes": size_bytes, **said})
