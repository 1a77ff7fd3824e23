"""Builds: what they say while they run, and how they end. The work itself is a pull, see commands.pulls."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.domain import Claim, Recipe
from services.snapshots.queries.builds import recipe_of

BUILD_LOG = "build_log"
_NOTIFY = text(f"SELECT pg_notify('{BUILD_LOG}', '')")
# Only who holds the work may write, so that pieces follow each other without gaps.
_APPEND = text("""
INSERT INTO build_logs (build_id, at, data)
SELECT build_id, :at, :data FROM pulls
WHERE id = :pull_id AND worker = :worker AND attempt = :attempt AND running FOR KEY SHARE
RETURNING at
""")
_SAY_LAST = text("""
INSERT INTO build_logs (build_id, at, data)
SELECT :id, coalesce(max(at + length(data)), 0), :data FROM build_logs WHERE build_id = :id
""")
_END = text("""
UPDATE builds SET state = :state, artifact_id = :artifact_id, updated_at = clock_timestamp()
WHERE id = :id AND state = 'building'
""")
_CANCEL = text("""
UPDATE builds AS b SET state = 'cancelled', updated_at = clock_timestamp()
FROM pulls AS p WHERE p.id = ANY(:pull_ids) AND b.id = p.build_id AND b.state = 'building' RETURNING b.id
""")
_RUNNING = """
SELECT b.id, p.id AS pull_id FROM builds AS b JOIN pulls AS p ON p.build_id = b.id
WHERE b.state = 'building' AND b.organization_id = :organization_id AND b.key = :key"""
_FIND, _JOIN = text(_RUNNING), text(f"{_RUNNING} FOR KEY SHARE OF p, b")
_ADD = text("""
INSERT INTO builds (id, organization_id, key, ref, dockerfile, context_hashes)
VALUES (:id, :organization_id, :key, :ref, :dockerfile, :context_hashes) ON CONFLICT DO NOTHING RETURNING id
""")
_START = text("""
INSERT INTO pulls (id, organization_id, image_ref, digest, build_id)
VALUES (:id, :organization_id, '', CAST(CAST(:build_id AS uuid) AS text), :build_id)
""")
_HOLD = text("SELECT id FROM builds WHERE id = ANY(:ids) ORDER BY id FOR UPDATE")
_FORGET = text("""
DELETE FROM builds AS b WHERE id = ANY(:ids)
AND NOT EXISTS (SELECT FROM snapshots AS s WHERE s.build_id = b.id)
AND NOT EXISTS (SELECT FROM versions AS v WHERE v.build_id = b.id)
""")


async def append(session: AsyncSession, claim: Claim, at: int, data: bytes) -> bool:
    """Write what follows the first `at` bytes of the log. False: the build is cancelled or somebody else's by now."""
    bound = {"pull_id": claim.pull_id, "worker": claim.worker, "attempt": claim.attempt}
    written = await session.execute(_APPEND, {**bound, "at": at, "data": data})
    if written.first() is None:
        return False
    await wake_readers(session)
    return True


async def say_last(session: AsyncSession, build_id: UUID, text: str) -> None:
    """End the log, whose work the caller holds, with these words."""
    await session.execute(_SAY_LAST, {"id": build_id, "data": text.encode()})


async def end(
    session: AsyncSession, build_id: UUID, state: str, artifact_id: UUID | None = None
) -> None:
    """Note how a build ended; nothing is said any more."""
    await session.execute(_END, {"id": build_id, "state": state, "artifact_id": artifact_id})
    await wake_readers(session)


async def cancel(session: AsyncSession, pull_ids: Sequence[UUID]) -> None:
    """Note that builds end undone, of those works that are builds which run."""
    if (await session.execute(_CANCEL, {"pull_ids": list(pull_ids)})).first() is not None:
        await wake_readers(session)


async def running(
    session: AsyncSession, organization_id: UUID, recipe: Recipe
) -> tuple[UUID, UUID] | None:
    """Return a build of the same that runs, and its work. It may have ended when the caller comes to hold that."""
    row = (await session.execute(_FIND, _same(organization_id, recipe))).one_or_none()
    return None if row is None else (row.id, row.pull_id)


async def start(
    session: AsyncSession, organization_id: UUID, recipe: Recipe
) -> tuple[UUID, UUID] | None:
    """Have this built; return the build and its work. None: somebody does that at this moment."""
    build_id, pull_id = uuid4(), uuid4()
    said = {
        "ref": recipe.ref,
        "dockerfile": recipe.dockerfile,
        "context_hashes": list(recipe.context_hashes),
    }
    new = {"id": build_id, **_same(organization_id, recipe), **said}
    if await session.scalar(_ADD, new) is None:
        return None
    work = {"id": pull_id, "organization_id": organization_id, "build_id": build_id}
    await session.execute(_START, work)
    return build_id, pull_id


async def again(
    session: AsyncSession, organization_id: UUID, build_id: UUID
) -> tuple[UUID, UUID] | None:
    """Have the same built once more; return the build and its work. None: somebody does that at this moment."""
    recipe = await recipe_of(session, build_id)
    joined = (await session.execute(_JOIN, _same(organization_id, recipe))).one_or_none()
    if joined is not None:
        return joined.id, joined.pull_id
    return await start(session, organization_id, recipe)


async def forget(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Drop those builds, with their logs, of which no snapshot and no version tells any more."""
    if ids:
        await session.execute(_HOLD, {"ids": list(ids)})
        await session.execute(_FORGET, {"ids": list(ids)})


async def wake_readers(session: AsyncSession) -> None:
    """Tell who reads logs, when the transaction commits, that there is more, or an end."""
    await session.execute(_NOTIFY)


def _same(organization_id: UUID, recipe: Recipe) -> dict[str, object]:
    return {"organization_id": organization_id, "key": recipe.key(organization_id)}
