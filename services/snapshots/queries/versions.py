"""The versions of a snapshot: the current one, which its own row is, and the others."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_WORK = "size_bytes, pull_id, build_id, error_code, error_reason, error_remedy"
# What one has let go may still be in the store, for something else of the organization.
_ALL = f"""
SELECT v.*, coalesce(a.stored, false) AS stored, coalesce(p.running, false) AS running,
    p.phase, p.bytes_done, p.bytes_total, p.attempt, p.build_id IS NOT NULL AS built, b.ref AS build_ref
FROM (
    SELECT id, version AS number, coalesce(version_at, created_at) AS created_at, version_by AS created_by,
        image_ref, state, true AS current, ref, {_WORK} FROM snapshots WHERE id = :id
    UNION ALL
    SELECT snapshot_id, number, created_at, created_by, image_ref, state, false, ref, {_WORK}
    FROM versions WHERE snapshot_id = :id) AS v
LEFT JOIN artifacts AS a ON a.manifest_digest = split_part(v.ref, '@', 2)
    AND a.organization_id = (SELECT organization_id FROM snapshots WHERE id = :id)
LEFT JOIN pulls AS p ON p.id = v.pull_id LEFT JOIN builds AS b ON b.id = v.build_id"""
_LIST = text(f"{_ALL} ORDER BY v.number DESC")
_ONE = text(f"{_ALL} WHERE v.number = :number")


async def versions_of(session: AsyncSession, snapshot_id: UUID) -> Sequence[Any]:
    """Return them all, the newest first."""
    return (await session.execute(_LIST, {"id": snapshot_id})).all()


async def version(session: AsyncSession, snapshot_id: UUID, number: int) -> Any:
    return (await session.execute(_ONE, {"id": snapshot_id, "number": number})).one()
