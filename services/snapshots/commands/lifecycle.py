"""What the owner of a snapshot does to it: take it out of use, bring it back, delete it.

Each raises Busy when the snapshot is changed by somebody else at the same time; the caller tries again in a new
transaction.
"""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands import builds, waiting
from services.snapshots.commands.moves import move, standing, wake_workers
from services.snapshots.domain import (
    FAILED,
    NO_BUILDS,
    BuilderUnavailable,
    Busy,
    Limits,
    SnapshotGeneral,
    State,
    StateConflict,
    VersionState,
    check_move,
    pinned,
)
from services.snapshots.queries import one

_ARTIFACT = """
SELECT a.id, a.repository || '@' || a.manifest_digest AS ref, a.size_bytes, a.manifest_digest, a.stored
FROM artifacts AS a {} FOR KEY SHARE OF a"""
_ARTIFACT_BY_ID = text(_ARTIFACT.format("WHERE a.id = :id"))
_ARTIFACT_BY_DIGEST = text(
    _ARTIFACT.format(
        "JOIN artifact_digests AS d ON d.artifact_id = a.id"
        " WHERE d.organization_id = :organization_id AND d.digest = :digest"
    )
)
_JOIN_PULL = text(
    "SELECT id FROM pulls WHERE organization_id = :organization_id AND image_ref = :image_ref AND digest = :digest"
    " FOR KEY SHARE"
)
_START_PULL = text(
    "INSERT INTO pulls (id, organization_id, image_ref, digest) VALUES (:id, :organization_id, :image_ref, :digest)"
    " ON CONFLICT DO NOTHING RETURNING id"
)
_NOW = text("SELECT clock_timestamp()")
_NO_FAILURE = {"error_code": "", "error_reason": "", "error_remedy": ""}


async def delete(session: AsyncSession, organization_id: UUID, ref: str) -> None:
    """Start the removal. Refused with SNAPSHOT_NOT_FOUND, SNAPSHOT_ID_REQUIRED or SNAPSHOT_GENERAL."""
    snapshot = await one.owned(session, organization_id, ref)
    if snapshot.general:
        raise SnapshotGeneral("a general snapshot cannot be deleted: withdraw it first")
    if snapshot.state == State.REMOVING:
        return
    await leave_work(session, organization_id, [snapshot], State.REMOVING)
    await wake_workers(session)


async def deactivate(session: AsyncSession, organization_id: UUID, ref: str) -> None:
    """Take it out of use. Refused with SNAPSHOT_NOT_FOUND, SNAPSHOT_ID_REQUIRED or SNAPSHOT_STATE_CONFLICT."""
    snapshot = await one.owned(session, organization_id, ref)
    if snapshot.state == State.INACTIVE:
        return
    check_move(State(snapshot.state), State.INACTIVE)
    await leave_work(session, organization_id, [snapshot], State.INACTIVE)


async def activate(
    session: AsyncSession,
    organization_id: UUID,
    ref: str,
    limits: Limits,
    now: float,
    *,
    no_builder: str,
) -> UUID:
    """Bring it back, and return its id: active if its artifact is stored, else pending with work by that digest, or with
    its build done again.

    Refused as ActivateSnapshot says.
    """
    snapshot = await one.owned(session, organization_id, ref)
    if snapshot.state != State.INACTIVE:
        raise StateConflict(
            f"a snapshot that is {snapshot.state} cannot be activated", current=snapshot.state
        )
    check_usable(snapshot, limits, now)
    to, values = await to_be_had(session, organization_id, snapshot, no_builder)
    await _bring_back(session, organization_id, snapshot, to, limits, values)
    return UUID(str(snapshot.id))


async def retry(
    session: AsyncSession,
    organization_id: UUID,
    ref: str,
    limits: Limits,
    now: float,
    *,
    no_builder: str,
) -> UUID:
    """Try a failed snapshot again, why it failed forgotten, and return its id. Refused as RetrySnapshot says."""
    snapshot = await one.owned(session, organization_id, ref)
    if snapshot.state not in FAILED:
        raise StateConflict(
            f"a snapshot that is {snapshot.state} has not failed", current=snapshot.state
        )
    check_usable(snapshot, limits, now)
    to, values = await to_be_had(session, organization_id, snapshot, no_builder)
    # Its size may have been what it failed for; it is another one's now, or not known yet.
    values = {"size_bytes": None, **_NO_FAILURE, **values}
    await _bring_back(session, organization_id, snapshot, to, limits, values)
    return UUID(str(snapshot.id))


async def _bring_back(
    session: AsyncSession,
    organization_id: UUID,
    snapshot: Row[Any],
    to: State,
    limits: Limits,
    values: dict[str, Any],
) -> None:
    former = former_of(snapshot, values)
    known = [standing(snapshot)]
    await move(session, organization_id, known, to, limits=limits, former=former, **values)


def check_usable(snapshot: Row[Any], limits: Limits, now: float) -> None:
    """Refuse to bring into use what its organization may not use (any more)."""
    limits.check_not_suspended(now)
    for region_id in snapshot.region_ids:
        limits.check_available(region_id)
        limits.check_resources(
            region_id, cpu=snapshot.cpu, memory=snapshot.memory, disk=snapshot.disk
        )


async def to_be_had(
    session: AsyncSession, organization_id: UUID, snapshot: Row[Any], no_builder: str
) -> tuple[State, dict[str, Any]]:
    """Return where a snapshot out of use goes on its way back, and what is written along.

    Active if its artifact is in the store; else there is work that it waits for from now on. Refused with
    SNAPSHOT_STATE_CONFLICT when there is nothing to make it of again, with BUILDER_UNAVAILABLE when it would have to be built
    and is not, for which `no_builder` is the reason.
    """
    artifact = await _artifact(session, organization_id, snapshot)
    if artifact is not None and artifact.stored:
        values = {"artifact_id": artifact.id, "ref": artifact.ref}
        values |= {"size_bytes": artifact.size_bytes, "last_used_at": await session.scalar(_NOW)}
        return State.ACTIVE, values
    if snapshot.build_id is not None and no_builder:
        raise BuilderUnavailable(f"it would have to be built again, and {NO_BUILDS}: {no_builder}")
    return await _work_for(session, organization_id, snapshot, artifact)


def former_of(snapshot: Row[Any], values: dict[str, Any]) -> list[UUID]:
    """Return the build that a snapshot tells of no longer, if another one makes it from now on."""
    another = values.get("build_id") not in (None, snapshot.build_id)
    return [snapshot.build_id] if another and snapshot.build_id is not None else []


async def leave_work(
    session: AsyncSession,
    organization_id: UUID,
    snapshots: list[Row[Any]],
    to: State,
    **values: Any,
) -> None:
    """Move snapshots to a state without work; work that nobody waits for any more is cancelled."""
    ids = [s.id for s in snapshots]
    pulls = {s.pull_id for s in snapshots if s.pull_id is not None}
    pulls |= await waiting.pulls_of_versions(session, ids)
    if pulls:
        await waiting.hold(session, pulls)
    standings = [standing(s) for s in snapshots]
    await move(session, organization_id, standings, to, pull_id=None, **values)
    if pulls:
        await waiting.leave(session, ids, VersionState.CANCELLED)
        await waiting.release_unwanted(session, pulls)


async def _work_for(
    session: AsyncSession, organization_id: UUID, snapshot: Row[Any], artifact: Row[Any] | None
) -> tuple[State, dict[str, Any]]:
    """Join or start the work that makes its artifact again."""
    if snapshot.build_id is not None:
        build_id, pull_id = await _build_again(session, organization_id, snapshot.build_id)
        await wake_workers(session)
        return State.PENDING, {"build_id": build_id, "pull_id": pull_id}
    if not snapshot.image_ref:
        raise StateConflict("there is nothing to make it of again", current=snapshot.state)
    digest = "" if artifact is None else artifact.manifest_digest
    pull_id = await _pull(session, organization_id, snapshot.image_ref, digest)
    await wake_workers(session)
    return State.PENDING, {"pull_id": pull_id}


async def _artifact(
    session: AsyncSession, organization_id: UUID, snapshot: Row[Any]
) -> Row[Any] | None:
    """Return the artifact it had, or the one that its image is pinned to, if the organization has that."""
    if snapshot.artifact_id is not None:
        return (await session.execute(_ARTIFACT_BY_ID, {"id": snapshot.artifact_id})).one()
    if not snapshot.image_ref:
        return None
    bound = {"organization_id": organization_id, "digest": pinned(snapshot.image_ref)}
    return (await session.execute(_ARTIFACT_BY_DIGEST, bound)).one_or_none()


async def _build_again(
    session: AsyncSession, organization_id: UUID, build_id: UUID
) -> tuple[UUID, UUID]:
    work = await builds.again(session, organization_id, build_id)
    if work is None:
        raise Busy("the same build is being asked for by somebody else: try again")
    return work


async def _pull(session: AsyncSession, organization_id: UUID, image_ref: str, digest: str) -> UUID:
    bound = {"organization_id": organization_id, "image_ref": image_ref, "digest": digest}
    found: UUID | None = await session.scalar(_JOIN_PULL, bound)
    if found is None:
        found = await session.scalar(_START_PULL, {**bound, "id": uuid4()})
    if found is None:
        raise Busy("the same image is being asked for by somebody else: try again")
    return found
