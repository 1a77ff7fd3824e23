"""Who refers to an image."""

from collections.abc import Sequence

from chassis.db import Pool

# Read through, not looked up: administrators ask this now and then, and no create pays for an index on it. A tag beside
# a digest is decoration to a registry, but whoever wrote it may count on it; case is left aside for the same reason.
_NAMED = (
    "lower(split_part({}, '@', 1)) = ANY($1::text[]) OR ($2 <> '' AND right({}, 72) = '@' || $2)"
)
_REFERRED = f"""
SELECT EXISTS (SELECT FROM snapshots WHERE {_NAMED.format("image_ref", "image_ref")})
    OR EXISTS (SELECT FROM versions WHERE {_NAMED.format("image_ref", "image_ref")})
    OR EXISTS (SELECT FROM pulls WHERE {_NAMED.format("image_ref", "image_ref")} OR ($2 <> '' AND digest = $2))
    OR EXISTS (SELECT FROM artifacts WHERE manifest_digest = $2 OR ($2 = '' AND lower(repository) = ANY($1::text[])))
    OR EXISTS (SELECT FROM artifact_digests WHERE digest = $2)"""


async def is_referred_to(pool: Pool, spellings: Sequence[str], digest: str) -> bool:
    """Tell whether anything refers to an image, by one of its names or by its digest (empty: none was given)."""
    found: bool = await pool.fetchval(_REFERRED, [s.lower() for s in spellings], digest)
    return found
