"""What the owner of a snapshot lets it stand for: another image, or a version from before.

Each raises Busy when the snapshot is changed by somebody else at the same time; the caller tries again in a new
transaction. Pulls are held before the snapshot, and artifacts after it.
"""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.origin import current_origin
from chassis.outbox import announce
from services.snapshots.commands import builds, waiting
from services.snapshots.commands.moves import wake_workers
from services.snapshots.commands.switch import switch
from services.snapshots.commands.version_work import (
    Asked,
    Image,
    Work,
    built,
    hold,
    keep,
    stored,
)
from services.snapshots.domain import (
    NO_BUILDS,
    Audited,
    BuilderUnavailable,
    Busy,
    Limits,
    LimitsOutdated,
    OrganizationGone,
    Recipe,
    SnapshotGeneral,
    SnapshotVersionCreated,
    State,
    StateConflict,
    VersionNotFound,
    VersionState,
    VersionStateConflict,
    Wish,
)
from services.snapshots.queries import one
from services.snapshots.queries.builds import recipe_of

_TOUCH = text("""
UPDATE snapshots SET generation = generation + 1, last_version = last_version + :more
WHERE id = :id AND state = 'active' AND generation = :generation RETURNING last_version
""")
_ADD = text("""
INSERT INTO versions (snapshot_id, number, image_ref, state, pull_id, build_id, created_by)
VALUES (:id, :number, :image_ref, 'pending', :pull_id, :build_id, :by)
""")
_AGAIN = text("""
UPDATE versions SET state = 'pending', pull_id = :pull_id, build_id = coalesce(:build_id, build_id),
    error_code = '', error_reason = '', error_remedy = ''
WHERE snapshot_id = :id AND number = :number
""")
_ONE = text("SELECT * FROM versions WHERE snapshot_id = :id AND number = :number")
# A create that commits at the same time and takes a place waits for this, or this for it.
_STILL = text(
    "SELECT closed, limits_revision > :revision AS outdated FROM usage"
    " WHERE organization_id = :organization_id FOR SHARE"
)


async def set_image(
    session: AsyncSession,
    organization_id: UUID,
    ref: str,
    wish: Wish,
    limits: Limits,
    now: float,
) -> tuple[UUID, int]:
    """Make a version of this; return the snapshot's id and its number. Refused as SetImage says."""
    limits.check_not_suspended(now)
    snapshot = await _changeable(session, organization_id, ref)
    asked: Asked = wish.recipe or Image(wish.image_ref, "")
    there = await _there(session, organization_id, wish.digest, wish.recipe)
    work, pulls = await hold(session, organization_id, snapshot.id, None if there else asked)
    work = there or work
    number = await _touch(session, snapshot, more=1)
    await keep(session, work)
    await waiting.leave(session, [snapshot.id], VersionState.SUPERSEDED)
    new = {"id": snapshot.id, "number": number, "image_ref": wish.image_ref, **_waits_for(work)}
    await session.execute(_ADD, {**new, "by": current_origin.get().user_id})
    image = wish.recipe.ref if wish.recipe else wish.image_ref
    created = SnapshotVersionCreated(str(snapshot.id), snapshot.name, number, image)
    await announce(session, created, organization_id=organization_id)
    await _go(session, organization_id, (snapshot.id, number), work)
    await waiting.release_unwanted(session, pulls)
    await _check_still(session, organization_id, limits)
    return snapshot.id, number


async def roll_back(
    session: AsyncSession,
    organization_id: UUID,
    ref: str,
    number: int,
    limits: Limits,
    now: float,
    *,
    no_builder: str,
) -> UUID:
    """Let it stand for a version again, as soon as that is in the store; return the snapshot's id. Refused as RollBack says.

    `no_builder`: why nothing is built here; empty: something is.
    """
    limits.check_not_suspended(now)
    snapshot = await _changeable(session, organization_id, ref)
    if number == snapshot.version:
        await _stay(session, organization_id, snapshot)
        return UUID(str(snapshot.id))
    version = await _version(session, snapshot, number)
    recipe = None
    if version.build_id is not None:
        recipe = await recipe_of(session, version.build_id)
    digest = version.ref.rpartition("@")[2]
    there = await _there(session, organization_id, digest, recipe)
    asked = None if there else _made_of(version, digest, recipe, no_builder)
    work, pulls = await hold(session, organization_id, snapshot.id, asked)
    work = there or work
    await _touch(session, snapshot)
    await keep(session, work)
    await waiting.leave(session, [snapshot.id], VersionState.SUPERSEDED)
    again = {"id": snapshot.id, "number": number, **_waits_for(work)}
    await session.execute(_AGAIN, again)
    if there is None:
        await announce(session, _asked(snapshot, number), organization_id=organization_id)
    await _go(session, organization_id, (snapshot.id, number), work)
    if work.build_id is not None:
        # Another build makes it now: nobody tells of the former any more.
        await builds.forget(session, [version.build_id])
    await waiting.release_unwanted(session, pulls)
    await _check_still(session, organization_id, limits)
    return UUID(str(snapshot.id))


async def _stay(session: AsyncSession, organization_id: UUID, snapshot: Any) -> None:
    """End what is under way instead of the current version."""
    _, pulls = await hold(session, organization_id, snapshot.id, None)
    if pulls:
        await _touch(session, snapshot)
        await waiting.leave(session, [snapshot.id], VersionState.SUPERSEDED)
        await waiting.release_unwanted(session, pulls)


async def _there(
    session: AsyncSession, organization_id: UUID, digest: str, recipe: Recipe | None
) -> Work | None:
    """Return what is in the store already: exactly that, or what was built of the same."""
    found = await stored(session, organization_id, digest)
    if found is None and recipe is not None:
        found = await built(session, organization_id, recipe)
    return found


def _made_of(version: Any, digest: str, recipe: Recipe | None, no_builder: str) -> Asked:
    """Return what makes a version again that is in the store no longer."""
    if version.image_ref:
        return Image(version.image_ref, digest)
    if recipe is None:
        message = f"version {version.number} is in the store no longer, and nothing tells what it was made of"
        raise VersionStateConflict(message, number=str(version.number), current=version.state)
    if no_builder:
        raise BuilderUnavailable(
            f"version {version.number} would have to be built again, and {NO_BUILDS}: {no_builder}"
        )
    return recipe


def _waits_for(work: Work) -> dict[str, UUID | None]:
    return {"pull_id": work.pull_id, "build_id": work.build_id}


async def _changeable(session: AsyncSession, organization_id: UUID, ref: str) -> Any:
    snapshot = await one.owned(session, organization_id, ref)
    if snapshot.general:
        message = "what everybody uses is not changed under their hands: withdraw it first"
        raise SnapshotGeneral(message)
    if snapshot.state != State.ACTIVE:
        message = f"a snapshot that is {snapshot.state} gets no other version"
        raise StateConflict(message, current=snapshot.state)
    return snapshot


async def _version(session: AsyncSession, snapshot: Any, number: int) -> Any:
    bound = {"id": snapshot.id, "number": number}
    version = None
    if 0 < number < 2**31:
        version = (await session.execute(_ONE, bound)).one_or_none()
    if version is None:
        raise VersionNotFound(f"the snapshot has no version {number}", number=str(number))
    if not version.ref:
        message = f"version {number} never was in the store"
        raise VersionStateConflict(message, number=str(number), current=version.state)
    return version


async def _touch(session: AsyncSession, snapshot: Any, more: int = 0) -> int:
    """Hold the snapshot if it is as it was read; return the number of its last version."""
    bound = {"id": snapshot.id, "generation": snapshot.generation, "more": more}
    number: int | None = await session.scalar(_TOUCH, bound)
    if number is None:
        raise Busy("the snapshot is being changed by somebody else: try again")
    return number


async def _go(
    session: AsyncSession, organization_id: UUID, chosen: tuple[UUID, int], work: Work
) -> None:
    """Switch at once to a version whose artifact is there, or have it made."""
    if work.artifact_id is None:
        await wake_workers(session)
    else:
        await switch(session, organization_id, [chosen], work.artifact_id)


async def _check_still(session: AsyncSession, organization_id: UUID, limits: Limits) -> None:
    bound = {"organization_id": organization_id, "revision": limits.revision}
    account = (await session.execute(_STILL, bound)).one_or_none()
    if account is None or account.closed:
        raise OrganizationGone("the organization is deleted")
    if account.outdated:
        raise LimitsOutdated


def _asked(snapshot: Any, number: int) -> Audited:
    said = {"name": snapshot.name, "version": number, "rollback": True}
    metadata = msgspec.json.encode(said).decode()
    return Audited("update", "snapshot", str(snapshot.id), metadata)
