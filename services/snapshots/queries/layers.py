"""What is known of layers."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.domain import LayerFacts

_KNOWN = text(
    "SELECT digest, diff_id, unpacked_bytes, entries FROM blobs"
    " WHERE digest = ANY(:digests) AND diff_id IS NOT NULL"
)


async def known(session: AsyncSession, digests: Sequence[str]) -> dict[str, LayerFacts]:
    """Return what was found out about these layers, by digest."""
    rows = await session.execute(_KNOWN, {"digests": list(digests)})
    return {r.digest: LayerFacts(r.diff_id, r.unpacked_bytes, r.entries) for r in rows}
