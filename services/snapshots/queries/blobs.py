"""What the store should hold, to be compared with what it does hold."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.domain import Blob

_UNKNOWN = text(
    "SELECT found.digest FROM unnest(CAST(:digests AS text[])) AS found (digest)"
    " WHERE NOT EXISTS (SELECT 1 FROM blobs AS b WHERE b.digest = found.digest)"
)
_NEEDED = text("""
SELECT b.digest, b.size FROM blobs AS b
WHERE b.digest > :after AND EXISTS (SELECT 1 FROM artifact_blobs AS n WHERE n.digest = b.digest)
ORDER BY b.digest LIMIT :limit
""")
_BYTES = text("SELECT coalesce(sum(size), 0)::bigint FROM blobs")


async def unknown(session: AsyncSession, digests: Sequence[str]) -> list[str]:
    """Return those of which no row tells: nothing may refer to them."""
    return list((await session.scalars(_UNKNOWN, {"digests": list(digests)})).all())


async def needed(session: AsyncSession, *, after: str, limit: int) -> list[Blob]:
    """Return the next blobs, by digest, that an artifact needs."""
    rows = await session.execute(_NEEDED, {"after": after, "limit": limit})
    return [Blob(row.digest, row.size) for row in rows]


async def reserved_bytes(session: AsyncSession) -> int:
    """Return what the store holds or has promised to hold."""
    total: int = await session.scalar(_BYTES)
    return total
