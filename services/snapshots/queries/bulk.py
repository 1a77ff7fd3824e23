"""Reads for what is done to many snapshots, and of how far that is."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.snapshots.domain.bulk import MOST_ITEMS, BulkJobNotFound
from services.snapshots.queries.one import STANDING
from services.snapshots.queries.rows import Row

_STANDINGS = text(
    f"SELECT {STANDING} FROM snapshots WHERE id = ANY(:ids) AND organization_id = :organization_id"
)
_USED = text("SELECT used FROM usage WHERE organization_id = :organization_id")
_MATCH = 'strpos(lower(name), lower(CAST(:text AS text) COLLATE "C")) > 0'
_MATCHING = (
    f"SELECT id::text FROM snapshots WHERE organization_id = :organization_id AND {_MATCH}{{grams}}"
    f" ORDER BY name LIMIT {MOST_ITEMS + 1}"
)
_GRAMS = " AND name_grams(organization_id, name) @> name_grams(:organization_id, :text)"
_GRAM = 3
_JOB = """
SELECT id::text, organization_id::text, action, total, done, unchanged, refused,
    (date_part('epoch', created_at) * 1000000)::bigint, (date_part('epoch', finished_at) * 1000000)::bigint
FROM bulk_jobs WHERE id = $1 AND organization_id = $2"""
_ITEMS = """
SELECT given, name, outcome, code FROM bulk_items
WHERE job_id = $1 AND position >= $2 ORDER BY position LIMIT $3"""


async def standings(
    session: AsyncSession, organization_id: UUID, ids: Iterable[UUID]
) -> dict[UUID, Any]:
    """Return how those snapshots stand that are the organization's own."""
    bound = {"ids": list(ids), "organization_id": organization_id}
    return {row.id: row for row in (await session.execute(_STANDINGS, bound)).all()}


async def used(session: AsyncSession, organization_id: UUID) -> int:
    return await session.scalar(_USED, {"organization_id": organization_id}) or 0


async def matching(session: AsyncSession, organization_id: UUID, name_contains: str) -> list[str]:
    """Return the ids of own snapshots by a part of the name, in the order of names; one more than a job may have."""
    grams = _GRAMS if len(name_contains) >= _GRAM else ""
    bound = {"organization_id": organization_id, "text": name_contains}
    return list((await session.scalars(text(_MATCHING.format(grams=grams)), bound)).all())


async def job(
    pool: Pool, organization_id: UUID, job_id: UUID, *, limit: int, skip: int
) -> tuple[Row, list[Row]]:
    """Return a job and some of its items. Refused with BULK_JOB_NOT_FOUND."""
    async with pool.acquire() as connection:
        found = await connection.fetchrow(_JOB, job_id, organization_id)
        if found is None:
            raise BulkJobNotFound("there is no such job")
        return found, await connection.fetch(_ITEMS, job_id, skip, limit)
