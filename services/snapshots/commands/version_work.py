"""What a version is made of, and the work that makes it: a pull or a build. What is there is taken, what runs is joined."""

from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands import builds, waiting
from services.snapshots.domain import Busy, Recipe

_FIND_PULL = text(
    "SELECT id FROM pulls WHERE organization_id = :organization_id AND image_ref = :image_ref AND digest = :digest"
)
_START_PULL = text(
    "INSERT INTO pulls (id, organization_id, image_ref, digest) VALUES (:id, :organization_id, :image_ref, :digest)"
    " ON CONFLICT DO NOTHING RETURNING id"
)
_STORED = text("""
SELECT a.id FROM artifacts AS a JOIN artifact_digests AS d ON d.artifact_id = a.id
WHERE d.organization_id = :organization_id AND d.digest = :digest AND a.stored
""")
_BUILT = text("""
SELECT b.id, b.artifact_id FROM builds AS b JOIN artifacts AS a ON a.id = b.artifact_id
WHERE b.organization_id = :organization_id AND b.key = :key AND b.state = 'built' AND a.stored
ORDER BY b.created_at DESC LIMIT 1
""")
_KEEP = text("SELECT id FROM artifacts WHERE id = :id AND stored FOR KEY SHARE")
_KEEP_BUILD = text("SELECT id FROM builds WHERE id = :id FOR KEY SHARE")


@dataclass(frozen=True, slots=True)
class Image:
    """An image to be fetched: by this digest, or, if that is empty, whatever the reference names."""

    ref: str
    digest: str


Asked: TypeAlias = Image | Recipe


@dataclass(frozen=True, slots=True)
class Work:
    """A pull to be waited for, or an artifact that is there; and of what is built, the build."""

    pull_id: UUID | None = None
    artifact_id: UUID | None = None
    build_id: UUID | None = None


async def stored(session: AsyncSession, organization_id: UUID, digest: str) -> Work | None:
    """Return the artifact of this digest, if the organization has it in the store."""
    bound = {"organization_id": organization_id, "digest": digest}
    found: UUID | None = await session.scalar(_STORED, bound) if digest else None
    return None if found is None else Work(artifact_id=found)


async def built(session: AsyncSession, organization_id: UUID, recipe: Recipe) -> Work | None:
    """Return what the organization has built of this and has in the store."""
    bound = {"organization_id": organization_id, "key": recipe.key(organization_id)}
    row = (await session.execute(_BUILT, bound)).one_or_none()
    return None if row is None else Work(artifact_id=row.artifact_id, build_id=row.id)


async def hold(
    session: AsyncSession, organization_id: UUID, snapshot_id: UUID, asked: Asked | None
) -> tuple[Work, set[UUID]]:
    """Hold the pulls that the snapshot's versions wait for, and the work for `asked`, which may be new.

    All in one order: who asks for what another one leaves must not wait for who asks for the opposite.
    """
    old = await waiting.pulls_of_versions(session, [snapshot_id])
    if asked is None:
        return Work(), await waiting.hold(session, old)
    found = await _running(session, organization_id, asked)
    running = {found.pull_id} if found and found.pull_id else set()
    held = await waiting.hold(session, old | running)
    if found is None or not running <= held:
        found = await _start(session, organization_id, asked)
    if found is None:
        raise Busy("the same is being asked for by somebody else: try again")
    return found, held & old


async def keep(session: AsyncSession, work: Work) -> None:
    """See to it that an artifact that is there, and what is told of its build, stay. The caller holds the snapshot."""
    kept: list[Any] = []
    if work.artifact_id is not None:
        kept.append(await session.scalar(_KEEP, {"id": work.artifact_id}))
        if work.build_id is not None:
            kept.append(await session.scalar(_KEEP_BUILD, {"id": work.build_id}))
    if None in kept:
        raise Busy("the image left the store in this moment: try again")


async def _running(session: AsyncSession, organization_id: UUID, asked: Asked) -> Work | None:
    if isinstance(asked, Recipe):
        running = await builds.running(session, organization_id, asked)
        return None if running is None else Work(pull_id=running[1], build_id=running[0])
    found: UUID | None = await session.scalar(_FIND_PULL, _bind(organization_id, asked))
    return None if found is None else Work(pull_id=found)


async def _start(session: AsyncSession, organization_id: UUID, asked: Asked) -> Work | None:
    if isinstance(asked, Recipe):
        started = await builds.start(session, organization_id, asked)
        return None if started is None else Work(pull_id=started[1], build_id=started[0])
    bound = {**_bind(organization_id, asked), "id": uuid4()}
    new: UUID | None = await session.scalar(_START_PULL, bound)
    return None if new is None else Work(pull_id=new)


def _bind(organization_id: UUID, image: Image) -> dict[str, Any]:
    return {
        "organization_id": organization_id,
        "image_ref": image.ref,
        "digest": image.digest,
    }
