"""What is known of layers."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.domain import LayerFacts

_KNOWN = text(
    "SELECT digest, diff_id, unpacked_bytes, entries FROM blobs"
    " WHERE digest = ANY(:digests) AND diff_id IS NOT NULL"
)
# As what an organization may have without fetching it: see commands.blobs.
_HELD = text("""
SELECT d.digest FROM unnest(CAST(:digests AS text[])) AS d (digest) WHERE EXISTS (
    SELECT 1 FROM artifact_blobs AS b JOIN artifacts AS a ON a.id = b.artifact_id
    WHERE b.digest = d.digest AND a.organization_id = :organization_id AND a.stored)
""")


async def known(session: AsyncSession, digests: Sequence[str]) -> dict[str, LayerFacts]:
    """Return what was found out about these layers, by digest."""
    rows = await session.execute(_KNOWN, {"digests": list(digests)})
    return {r.digest: LayerFacts(r.diff_id, r.unpacked_bytes, r.entries) for r in rows}


async def held(session: AsyncSession, organization_id: UUID, digests: Iterable[str]) -> set[str]:
    """Return which of these the store holds for an organization."""
    bound = {"organization_id": organization_id, "digests": list(digests)}
    return set((await session.scalars(_HELD, bound)).all())
