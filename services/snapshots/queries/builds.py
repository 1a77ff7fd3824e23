"""Builds and their logs."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.snapshots.domain import Build, Recipe, VersionNotFound

_COLUMNS = "id, dockerfile, context_hashes, ref, created_at, updated_at"
_BUILDS = f"SELECT {_COLUMNS} FROM builds WHERE id = ANY($1::uuid[])"
_RECIPE = text("SELECT dockerfile, context_hashes FROM builds WHERE id = :id")
_LENGTH = text(
    "SELECT at + length(data) FROM build_logs WHERE build_id = :id ORDER BY at DESC LIMIT 1"
)
# What waits for its build no longer, or is gone, is the end of the log for who reads it there.
_ENDED = """
SELECT NOT EXISTS (
    SELECT FROM builds AS b WHERE b.id = $2 AND b.state = 'building' AND (
        EXISTS (SELECT FROM snapshots AS s WHERE s.id = $1 AND s.build_id = b.id AND s.state IN ('building', 'pending'))
        OR EXISTS (SELECT FROM versions AS v WHERE v.snapshot_id = $1 AND v.build_id = b.id AND v.pull_id IS NOT NULL)))"""
# The version that is being built, or the last one that was asked for, if its build failed; else the current one.
_SHOWN = """
SELECT coalesce((
    SELECT v.build_id FROM versions AS v
    WHERE v.snapshot_id = s.id AND v.build_id IS NOT NULL
    AND (v.pull_id IS NOT NULL OR (v.state = 'error' AND v.number = s.last_version))
    ORDER BY v.pull_id IS NULL LIMIT 1), s.build_id)
FROM snapshots AS s WHERE s.id = $1"""
_OF_VERSION = """
SELECT build_id FROM snapshots WHERE id = $1 AND version = $2
UNION ALL SELECT build_id FROM versions WHERE snapshot_id = $1 AND number = $2"""
_PIECES = """
SELECT at, data FROM build_logs WHERE build_id = $1
AND at >= coalesce((SELECT max(at) FROM build_logs WHERE build_id = $1 AND at <= $2), 0) ORDER BY at LIMIT 64"""


async def builds_of(pool: Any, ids: Iterable[UUID]) -> dict[UUID, Build]:
    """Return each of these builds; `pool` may be a connection."""
    wanted = list(ids)
    if not wanted:
        return {}
    return {row["id"]: _build(row) for row in await pool.fetch(_BUILDS, wanted)}


async def recipe_of(session: AsyncSession, build_id: UUID) -> Recipe:
    row = (await session.execute(_RECIPE, {"id": build_id})).one()
    return Recipe(row.dockerfile, tuple(row.context_hashes))


async def log_length(session: AsyncSession, build_id: UUID) -> int:
    return await session.scalar(_LENGTH, {"id": build_id}) or 0


async def shown(pool: Pool, snapshot_id: UUID) -> UUID | None:
    """Return the build whose log is a snapshot's, as StreamBuildLog says; None: none is."""
    found: UUID | None = await pool.fetchval(_SHOWN, snapshot_id)
    return found


async def of_version(pool: Pool, snapshot_id: UUID, number: int) -> UUID | None:
    """Return the build of a version; None: it was not built. Refused with VERSION_NOT_FOUND."""
    row = None
    if 0 < number < 2**31:
        row = await pool.fetchrow(_OF_VERSION, snapshot_id, number)
    if row is None:
        raise VersionNotFound(f"the snapshot has no version {number}", number=str(number))
    found: UUID | None = row["build_id"]
    return found


async def has_ended(pool: Pool, snapshot_id: UUID, build_id: UUID) -> bool:
    """Tell whether nothing follows what the log of a snapshot's or a version's build holds by now."""
    return bool(await pool.fetchval(_ENDED, snapshot_id, build_id))


async def log_after(pool: Pool, build_id: UUID, offset: int) -> bytes:
    """Return some of what follows the first `offset` bytes of the log; nothing: there is no more now."""
    rows = await pool.fetch(_PIECES, build_id, offset)
    return b"".join(row["data"][max(0, offset - row["at"]) :] for row in rows)


def _build(row: Any) -> Build:
    recipe = Recipe(row["dockerfile"], tuple(row["context_hashes"]))
    return Build(recipe, row["ref"], row["created_at"], row["updated_at"])
