"""Fills the snapshots table past the API: COPY without the secondary indexes, then the indexes, then vacuum."""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

COLUMNS = (
    "id", "organization_id", "name", "image_ref", "state", "cpu", "gpu", "memory", "disk", "region_ids",
    "created_at", "updated_at", "last_used_at", "ref", "size_bytes",
)  # fmt: skip
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_WORDS = ("base", "python", "node", "agent", "review", "train", "index", "build", "crawl", "eval")
_SECONDARY = (
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'snapshots'"
    " AND indexname NOT IN ('pk_snapshots', 'uq_snapshots_organization_id_name')"
)


def rows(organization: str, count: int, seed: int = 1) -> Iterator[tuple[Any, ...]]:
    """Yield snapshots of an organization: active, most of them used, names of a word and a number."""
    random_ = random.Random(seed)
    owner = UUID(organization)
    for n in range(count):
        created = _EPOCH + timedelta(milliseconds=n * 7)
        used = None if n % 10 == 0 else created + timedelta(seconds=random_.randrange(10_000_000))
        name = f"{_WORDS[n % 10]}-{n:07d}"
        digest = f"{n:064x}"
        yield (
            uuid4(), owner, name, f"registry.example.com/{name}:1", "active", 1, 0, 1, 3, ["us"],
            created, created, used, f"registry.example.com/{name}@sha256:{digest}", 50_000_000 + n,
        )  # fmt: skip


def load(url: str, counts: dict[str, int]) -> None:
    """Give each organization so many snapshots."""
    asyncio.run(_load(url, counts))


async def _load(url: str, counts: dict[str, int]) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET statement_timeout = 0; SET maintenance_work_mem = '512MB'")
        many = sum(counts.values()) > 10_000
        indexes = await connection.fetch(_SECONDARY) if many else []
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        for seed, (organization, count) in enumerate(counts.items()):
            await _copy(connection, organization, count, seed)
        for index in indexes:
            await connection.execute(index["indexdef"])
        await connection.execute("VACUUM (ANALYZE) snapshots")
    finally:
        await connection.close()


async def _copy(
    connection: "asyncpg.Connection[Any]", organization: str, count: int, seed: int
) -> None:
    await connection.copy_records_to_table(
        "snapshots", records=rows(organization, count, seed), columns=COLUMNS
    )
    await connection.execute(
        "INSERT INTO usage (organization_id, used, total, ceiling) VALUES ($1, $2, $2, 100000000)"
        " ON CONFLICT (organization_id) DO UPDATE SET used = usage.used + $2, total = usage.total + $2,"
        " ceiling = 100000000",
        UUID(organization),
        count,
    )
