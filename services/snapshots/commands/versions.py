"""What the owner of a snapshot lets it stand for: another image, or a version from before.

Each raises Busy when the snapshot is changed by somebody else at the same time; the caller tries again in a new
transaction. Pulls are held before the snapshot, and artifacts after it.
"""

from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.origin import current_origin
from chassis.outbox import announce
from services.snapshots.commands import waiting
from services.snapshots.commands.moves import wake_workers
from services.snapshots.commands.switch import switch
from services.snapshots.domain import (
    Audited,
    Busy,
    Limits,
    LimitsOutdated,
    OrganizationGone,
    SnapshotGeneral,
    SnapshotVersionCreated,
    State,
    StateConflict,
    VersionNotFound,
    VersionState,
    VersionStateConflict,
)
from services.snapshots.queries import one

_TOUCH = text("""
UPDATE snapshots SET generation = generation + 1, last_version = last_version + :more
WHERE id = :id AND state = 'active' AND generation = :generation RETURNING last_version
""")
_ADD = text("""
INSERT INTO versions (snapshot_id, number, image_ref, state, pull_id, created_by)
VALUES (:id, :number, :image_ref, 'pending', :pull_id, :by)
""")
_AGAIN = text("""
UPDATE versions SET state = 'pending', pull_id = :pull_id, error_code = '', error_reason = '', error_remedy = ''
WHERE snapshot_id = :id AND number = :number
""")
_ONE = text("SELECT * FROM versions WHERE snapshot_id = :id AND number = :number")
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
_KEEP = text("SELECT id FROM artifacts WHERE id = :id AND stored FOR KEY SHARE")
# A create that commits at the same time and takes a place waits for this, or this for it.
_STILL = text(
    "SELECT closed, limits_revision > :revision AS outdated FROM usage"
    " WHERE organization_id = :organization_id FOR SHARE"
)


async def set_image(
    session: AsyncSession,
    organization_id: UUID,
    ref: str,
    image_ref: str,
    digest: str,
    limits: Limits,
    now: float,
) -> tuple[UUID, int]:
    """Make a version of this image (`digest`: what that is pinned by, or empty); return the snapshot's id and its number.

    Refused as SetImage says.
    """
    limits.check_not_suspended(now)
    snapshot = await _changeable(session, organization_id, ref)
    artifact = await _stored(session, organization_id, digest)
    asked = None if artifact else (image_ref, "")
    pull, pulls = await _pulls(session, organization_id, snapshot.id, asked)
    number = await _touch(session, snapshot, more=1)
    await waiting.leave(session, [snapshot.id], VersionState.SUPERSEDED)
    new = {"id": snapshot.id, "number": number, "image_ref": image_ref, "pull_id": pull}
    await session.execute(_ADD, {**new, "by": current_origin.get().user_id})
    created = SnapshotVersionCreated(str(snapshot.id), snapshot.name, number, image_ref)
    await announce(session, created, organization_id=organization_id)
    await _go(session, organization_id, (snapshot.id, number), artifact)
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
) -> UUID:
    """Let it stand for a version again, as soon as that is in the store; return the snapshot's id. Refused as RollBack says."""
    limits.check_not_suspended(now)
    snapshot = await _changeable(session, organization_id, ref)
    if number == snapshot.version:
        _, pulls = await _pulls(session, organization_id, snapshot.id, None)
        if pulls:
            await _touch(session, snapshot)
            await waiting.leave(session, [snapshot.id], VersionState.SUPERSEDED)
            await waiting.release_unwanted(session, pulls)
        return UUID(str(snapshot.id))
    version = await _version(session, snapshot, number)
    digest = version.ref.rpartition("@")[2]
    artifact = await _stored(session, organization_id, digest)
    if artifact is None and not version.image_ref:
        message = f"version {number} was built, and is in the store no longer: build it again"
        raise VersionStateConflict(message, number=str(number), current=version.state)
    asked = None if artifact else (version.image_ref, digest)
    pull, pulls = await _pulls(session, organization_id, snapshot.id, asked)
    await _touch(session, snapshot)
    await waiting.leave(session, [snapshot.id], VersionState.SUPERSEDED)
    if artifact is None:
        again = {"id": snapshot.id, "number": number, "pull_id": pull}
        await session.execute(_AGAIN, again)
        await announce(session, _asked(snapshot, number), organization_id=organization_id)
    await _go(session, organization_id, (snapshot.id, number), artifact)
    await waiting.release_unwanted(session, pulls)
    await _check_still(session, organization_id, limits)
    return UUID(str(snapshot.id))


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


async def _stored(session: AsyncSession, organization_id: UUID, digest: str) -> UUID | None:
    """Return the artifact of this digest, if the organization has it in the store."""
    bound = {"organization_id": organization_id, "digest": digest}
    found: UUID | None = await session.scalar(_STORED, bound) if digest else None
    return found


async def _pulls(
    session: AsyncSession, organization_id: UUID, snapshot_id: UUID, asked: tuple[str, str] | None
) -> tuple[UUID | None, set[UUID]]:
    """Hold the pulls that the snapshot's versions wait for, and one for `asked` (image and digest), which may be new.

    All in one order: who asks for what another one leaves must not wait for who asks for the opposite.
    """
    old = await waiting.pulls_of_versions(session, [snapshot_id])
    if asked is None:
        return None, await waiting.hold(session, old)
    bound = {"organization_id": organization_id, "image_ref": asked[0], "digest": asked[1]}
    found: UUID | None = await session.scalar(_FIND_PULL, bound)
    held = await waiting.hold(session, old | ({found} if found else set()))
    if found is None or found not in held:
        found = await session.scalar(_START_PULL, {**bound, "id": uuid4()})
    if found is None:
        raise Busy("the same image is being asked for by somebody else: try again")
    return found, held & old


async def _touch(session: AsyncSession, snapshot: Any, more: int = 0) -> int:
    """Hold the snapshot if it is as it was read; return the number of its last version."""
    bound = {"id": snapshot.id, "generation": snapshot.generation, "more": more}
    number: int | None = await session.scalar(_TOUCH, bound)
    if number is None:
        raise Busy("the snapshot is being changed by somebody else: try again")
    return number


async def _go(
    session: AsyncSession, organization_id: UUID, chosen: tuple[UUID, int], artifact: UUID | None
) -> None:
    """Switch at once to a version whose artifact is there, or have it fetched."""
    if artifact is None:
        await wake_workers(session)
        return
    if await session.scalar(_KEEP, {"id": artifact}) is None:
        raise Busy("the image left the store in this moment: try again")
    await switch(session, organization_id, [chosen], artifact)


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
