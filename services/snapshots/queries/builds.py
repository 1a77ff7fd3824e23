"""Builds and their logs."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.snapshots.domain import Build, Recipe

_COLUMNS = "id, dockerfile, context_hashes, ref, created_at, updated_at"
_BUILDS = f"SELECT {_COLUMNS} FROM builds WHERE id = ANY($1::uuid[])"
_RECIPE = text("SELECT dockerfile, context_hashes FROM builds WHERE id = :id")
_LENGTH = text(
    "SELECT at + length(data) FROM build_logs WHERE build_id = :id ORDER BY at DESC LIMIT 1"
)
# A snapshot that waits for its build no longer, or is gone, is the end of the log for who reads it there.
_ENDED = """
SELECT NOT EXISTS (
    SELECT FROM snapshots AS s JOIN builds AS b ON b.id = s.build_id
    WHERE s.id = $1 AND b.id = $2 AND b.state = 'building' AND s.state IN ('building', 'pending'))"""
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


async def has_ended(pool: Pool, snapshot_id: UUID, build_id: UUID) -> bool:
    """Tell whether nothing follows what the log of a snapshot's build holds by now."""
    return bool(await pool.fetchval(_ENDED, snapshot_id, build_id))


async def log_after(pool: Pool, build_id: UUID, offset: int) -> bytes:
    """Return some of what follows the first `offset` bytes of the log; nothing: there is no more now."""
    rows = await pool.fetch(_PIECES, build_id, offset)
    return b"".join(row["data"][max(0, offset - row["at"]) :] for row in rows)


def _build(row: Any) -> Build:
    recipe = Recipe(row["dockerfile"], tuple(row["context_hashes"]))
    return Build(recipe, row["ref"], row["created_at"], row["updated_at"])
