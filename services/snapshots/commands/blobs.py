"""What may be in the store and what may leave it.

Pinning and collecting a blob hold a lock on its digest until the transaction ends. A file comes only after its pin and is
unlinked only under that lock, when no pin and no artifact is left; whether it is there is asked after pinning. So a blob
that something refers to always has its file, and a crash leaves at worst a file or a row that nothing refers to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands import builds
from services.snapshots.commands.moves import wake_workers
from services.snapshots.commands.notes import GARBAGE
from services.snapshots.domain import Blob, Claim, LayerFacts, StoreFull

_STORE_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('store', 1))")
_LOCK = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(digest, 0)) FROM"
    " (SELECT digest FROM unnest(CAST(:digests AS text[])) AS digest ORDER BY digest) AS sorted"
)
_OWNED = text(
    "SELECT id FROM pulls WHERE id = :pull_id AND worker = :worker AND attempt = :attempt AND running"
    " FOR KEY SHARE"
)
_REGISTER = text("""
INSERT INTO blobs (digest, size)
SELECT * FROM unnest(CAST(:digests AS text[]), CAST(:sizes AS bigint[])) AS new (digest, size)
ON CONFLICT (digest) DO NOTHING
""")
_STORED_BYTES = text("SELECT coalesce(sum(size), 0) FROM blobs")
# An organization may have without fetching only what artifacts of its own consist of.
_PIN = text("""
INSERT INTO pull_blobs (pull_id, digest, fetched)
SELECT :pull_id, d.digest, EXISTS (
    SELECT 1 FROM artifact_blobs AS b JOIN artifacts AS a ON a.id = b.artifact_id
    WHERE b.digest = d.digest AND a.organization_id = :organization_id AND a.stored)
FROM unnest(CAST(:digests AS text[])) AS d (digest)
ON CONFLICT (pull_id, digest) DO UPDATE SET fetched = pull_blobs.fetched OR excluded.fetched
RETURNING digest, fetched
""")
# A manifest may have claimed another size, and nobody had seen the blob by then.
_PLACED = text("""
WITH mended AS (UPDATE blobs SET size = :size WHERE digest = :digest AND size <> :size)
UPDATE pull_blobs SET fetched = true WHERE pull_id = :pull_id AND digest = :digest RETURNING digest
""")
_DESCRIBE = text(
    "UPDATE blobs SET diff_id = :diff_id, unpacked_bytes = :unpacked_bytes, entries = :entries WHERE digest = :digest"
)
_UNPIN = text(
    "WITH loose AS (DELETE FROM pull_blobs WHERE pull_id = ANY(:ids) RETURNING digest) "
    + GARBAGE.format("SELECT DISTINCT digest FROM loose")
)
_DROP_PULLS = text("DELETE FROM pulls WHERE id = ANY(:ids)")
_FORGET = text(
    "WITH loose AS (DELETE FROM artifact_blobs WHERE artifact_id = ANY(:ids) RETURNING digest) "
    + GARBAGE.format("SELECT DISTINCT digest FROM loose")
)
_DROP_ARTIFACTS = text("DELETE FROM artifacts WHERE id = ANY(:ids)")
_CANDIDATES = text(
    "DELETE FROM garbage WHERE digest IN"
    " (SELECT digest FROM garbage LIMIT :limit FOR UPDATE SKIP LOCKED) RETURNING digest"
)
_COLLECT = text("""
DELETE FROM blobs AS b WHERE b.digest = ANY(:digests)
AND NOT EXISTS (SELECT 1 FROM artifact_blobs AS a WHERE a.digest = b.digest)
AND NOT EXISTS (SELECT 1 FROM pull_blobs AS p WHERE p.digest = b.digest)
RETURNING b.digest
""")


async def pin(
    session: AsyncSession, claim: Claim, blobs: Iterable[Blob], *, capacity: int
) -> list[str] | None:
    """Reserve room for the blobs of a pull and keep them; return the digests it must fetch itself, sorted.

    None: the pull is cancelled or somebody else's by now. Raises StoreFull when the store would hold more than
    `capacity` bytes; what is garbage still counts until it is collected.
    """
    sizes = {b.digest: b.size for b in blobs}
    digests = sorted(sizes)
    if not await _owned(session, claim):
        return None
    await session.execute(_STORE_LOCK)
    await session.execute(_LOCK, {"digests": digests})
    await session.execute(_REGISTER, {"digests": digests, "sizes": [sizes[d] for d in digests]})
    if (await session.scalar(_STORED_BYTES) or 0) > capacity:
        raise StoreFull(f"the store may hold {capacity} bytes")
    bound = {"pull_id": claim.pull_id, "organization_id": claim.organization_id, "digests": digests}
    pinned = (await session.execute(_PIN, bound)).all()
    return sorted(row.digest for row in pinned if not row.fetched)


async def place(session: AsyncSession, claim: Claim, blob: Blob) -> bool:
    """Record that the pull has put a pinned blob, verified and of this size, into the store.

    False: the pull is cancelled or somebody else's by now.
    """
    if not await _owned(session, claim):
        return False
    bound = {"pull_id": claim.pull_id, "digest": blob.digest, "size": blob.size}
    return (await session.execute(_PLACED, bound)).first() is not None


async def describe(session: AsyncSession, digest: str, facts: LayerFacts) -> None:
    """Keep what was found out about a blob that is a layer."""
    await session.execute(_DESCRIBE, {"digest": digest, **asdict(facts)})


async def collect(session: AsyncSession, *, limit: int = 100) -> tuple[list[str], bool]:
    """Return digests whose files the caller unlinks before it commits, and whether there may be more to collect."""
    candidates = (await session.scalars(_CANDIDATES, {"limit": limit})).all()
    await session.execute(_LOCK, {"digests": list(candidates)})
    gone = (await session.scalars(_COLLECT, {"digests": list(candidates)})).all()
    return sorted(gone), len(candidates) == limit


async def release_pull(session: AsyncSession, pull_id: UUID) -> None:
    """Drop a pull, whose row the caller holds, and its pins; whoever works on it hears of that at once."""
    await release_pulls(session, (pull_id,))


async def release_pulls(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Drop several as `release_pull` does."""
    if ids:
        await session.execute(_UNPIN, {"ids": list(ids)})
        await builds.cancel(session, ids)
        await session.execute(_DROP_PULLS, {"ids": list(ids)})
        await wake_workers(session)


async def release_artifacts(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Drop artifacts, whose rows the caller holds and to which no snapshot refers."""
    await session.execute(_FORGET, {"ids": list(ids)})
    await session.execute(_DROP_ARTIFACTS, {"ids": list(ids)})


async def _owned(session: AsyncSession, claim: Claim) -> bool:
    bound = {"pull_id": claim.pull_id, "worker": claim.worker, "attempt": claim.attempt}
    return (await session.execute(_OWNED, bound)).first() is not None
