"""The work that brings an image into the store, from a registry or by a build: claimed, leased, fenced by worker and attempt, ended exactly once."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands import builds, switch
from services.snapshots.commands.blobs import release_pull
from services.snapshots.commands.moves import Standing, move, standing
from services.snapshots.domain import Claim, Failure, NewArtifact, State

# A worker that died is found by its lease, which `due_at` holds while a pull runs. No organization takes all workers,
# and none waits until the queue of another is empty: they take turns.
_CLAIM = text("""
WITH busy AS (
    SELECT organization_id FROM pulls WHERE running AND due_at > now() AND (build_id IS NOT NULL) = :builds
    GROUP BY organization_id HAVING count(*) >= :share),
next AS (
    SELECT p.id, p.organization_id FROM pulls AS p LEFT JOIN turns AS t USING (organization_id)
    WHERE p.due_at <= now() AND (p.build_id IS NOT NULL) = :builds AND p.organization_id NOT IN (SELECT organization_id FROM busy)
    ORDER BY t.served_at NULLS FIRST, p.due_at FOR UPDATE OF p SKIP LOCKED LIMIT 1),
served AS (
    INSERT INTO turns (organization_id, served_at) SELECT organization_id, clock_timestamp() FROM next
    ON CONFLICT (organization_id) DO UPDATE SET served_at = excluded.served_at)
UPDATE pulls AS p SET running = true, worker = :worker, attempt = attempt + 1, due_at = now() + :lease,
    deadline_at = coalesce(deadline_at, now() + :patience), phase = 'resolving'
FROM next WHERE p.id = next.id
RETURNING p.id, p.organization_id, p.image_ref, p.digest, p.attempt, p.deadline_at, p.build_id
""")
_OWNED = "id = :id AND worker = :worker AND attempt = :attempt AND running"
_PROGRESS = text(
    "UPDATE pulls SET phase = :phase, bytes_done = :done, bytes_total = :total, due_at = now() + :lease"
    f" WHERE {_OWNED} RETURNING EXISTS (SELECT 1 FROM snapshots WHERE pull_id = :id AND state = 'pending')"
)
_RETRY = text(
    "UPDATE pulls SET running = false, phase = 'waiting', due_at = now() + :delay"
    f" WHERE {_OWNED} AND now() + :delay < deadline_at RETURNING id"
)
_HOLD = text(f"SELECT id FROM pulls WHERE {_OWNED} FOR UPDATE")
_WAITING = text(
    "SELECT id, state, generation FROM snapshots WHERE pull_id = :id AND state = ANY(:states) ORDER BY id FOR UPDATE"
)
_ARTIFACT = text("""
INSERT INTO artifacts (id, organization_id, manifest_digest, repository, size_bytes, entrypoint, config)
VALUES (:id, :organization_id, :manifest_digest, :repository, :size_bytes, :entrypoint, CAST(:config AS jsonb))
ON CONFLICT (organization_id, manifest_digest) DO UPDATE SET stored = true
RETURNING id, repository || '@' || manifest_digest AS ref, size_bytes, entrypoint
""")
_NAMES = text("""
INSERT INTO artifact_digests (organization_id, digest, artifact_id)
SELECT :organization_id, digest, :artifact_id FROM unnest(CAST(:digests AS text[])) AS digest
ON CONFLICT (organization_id, digest) DO UPDATE SET artifact_id = excluded.artifact_id
""")
_NEEDS = text("""
INSERT INTO artifact_blobs (artifact_id, digest)
SELECT :artifact_id, digest FROM pull_blobs WHERE pull_id = :pull_id AND fetched AND digest = ANY(:digests)
ON CONFLICT DO NOTHING
""")
_MISSING = text("""
SELECT count(*) FROM unnest(CAST(:digests AS text[])) AS d (digest)
WHERE NOT EXISTS (SELECT 1 FROM artifact_blobs AS b WHERE b.artifact_id = :artifact_id AND b.digest = d.digest)
""")
# The entrypoint as asked for stands; without one, the image's own.
_OWN_ENTRYPOINT = text(
    "UPDATE snapshots SET entrypoint = :entrypoint WHERE id = ANY(:ids) AND entrypoint IS NULL"
)


class BlobsMissing(Exception):
    """An artifact names blobs that its pull neither fetched nor was granted."""


async def claim_pull(
    session: AsyncSession,
    worker: str,
    *,
    lease: timedelta,
    patience: timedelta,
    share: int,
    builds: bool = False,
) -> Claim | None:
    """Take the pull that is due the longest, of the organization that was served the longest ago; or None.
    If `builds`, of those that a builder does.

    `patience` sets the deadline of one that is claimed for the first time; an organization that has `share` pulls
    running waits.
    """
    bound = {"worker": worker, "lease": lease, "patience": patience, "share": share}
    bound["builds"] = builds
    row = (await session.execute(_CLAIM, bound)).one_or_none()
    if row is None:
        return None
    claim = Claim(
        row.id,
        row.organization_id,
        row.image_ref,
        row.digest,
        row.attempt,
        worker,
        row.deadline_at,
        row.build_id,
    )
    await _start_waiting(session, claim)
    return claim


async def progress(
    session: AsyncSession, claim: Claim, *, phase: str, done: int, total: int, lease: timedelta
) -> bool:
    """Show how far the pull is and keep it. False: it is cancelled or somebody else's by now."""
    bound = {**_owner(claim), "phase": phase, "done": done, "total": total, "lease": lease}
    newcomers = (await session.execute(_PROGRESS, bound)).scalar_one_or_none()
    if newcomers:
        await _start_waiting(session, claim)
    return newcomers is not None


async def retry_later(session: AsyncSession, claim: Claim, delay: timedelta) -> bool:
    """Put the pull back for a while. False: that would be past its deadline, or it is no longer this worker's."""
    found = await session.execute(_RETRY, {**_owner(claim), "delay": delay})
    return found.first() is not None


async def finish_pull(session: AsyncSession, claim: Claim, made: NewArtifact) -> bool:
    """Record the artifact, make every snapshot that waited for it active, and switch to every version that did.

    False: the pull is not ours any more.

    Raises BlobsMissing unless each blob was placed by this pull or granted to it (commands.blobs).
    """
    if not await _hold(session, claim):
        return False
    artifact = await _record(session, claim, made)
    if claim.build_id is not None:
        # Before those who waited are told of it.
        await builds.end(session, claim.build_id, "built", artifact.id)
    waiting = await _waiting(session, claim, State.PENDING, _under_way(claim))
    entrypoint = artifact.entrypoint or made.entrypoint
    if entrypoint:
        ids = [s.id for s in waiting]
        await session.execute(_OWN_ENTRYPOINT, {"ids": ids, "entrypoint": entrypoint})
    await move(
        session,
        claim.organization_id,
        waiting,
        State.ACTIVE,
        pull_id=None,
        artifact_id=artifact.id,
        ref=artifact.ref,
        size_bytes=artifact.size_bytes,
        last_used_at=await session.scalar(text("SELECT clock_timestamp()")),
    )
    await switch.finish(session, claim.organization_id, claim.pull_id, artifact.id)
    await release_pull(session, claim.pull_id)
    return True


async def fail_pull(
    session: AsyncSession, claim: Claim, failure: Failure, *, size_bytes: int | None = None
) -> bool:
    """End the pull: every snapshot that waited for it shows why, and the image's size if that is known.

    False: the pull is not ours any more.
    """
    if not await _hold(session, claim):
        return False
    if claim.build_id is not None:
        await _start_waiting(session, claim)
        await builds.say_last(session, claim.build_id, f"\n[{failure.code}: {failure.reason}]\n")
        await builds.end(session, claim.build_id, "failed")
    waiting = await _waiting(session, claim, State.PENDING, _under_way(claim))
    said = {f"error_{field}": words for field, words in asdict(failure).items()}
    said_and_known = {**said, "size_bytes": size_bytes}
    to = State.ERROR if claim.build_id is None else State.BUILD_FAILED
    await move(session, claim.organization_id, waiting, to, pull_id=None, **said_and_known)
    await switch.fail(session, claim.pull_id, failure, size_bytes=size_bytes)
    await release_pull(session, claim.pull_id)
    return True


async def _start_waiting(session: AsyncSession, claim: Claim) -> None:
    pending = await _waiting(session, claim, State.PENDING)
    await move(session, claim.organization_id, pending, _under_way(claim))


def _under_way(claim: Claim) -> State:
    return State.PULLING if claim.build_id is None else State.BUILDING


async def _waiting(session: AsyncSession, claim: Claim, *states: State) -> list[Standing]:
    bound = {"id": claim.pull_id, "states": [s.value for s in states]}
    return [standing(row) for row in (await session.execute(_WAITING, bound)).all()]


async def _hold(session: AsyncSession, claim: Claim) -> bool:
    return (await session.execute(_HOLD, _owner(claim))).first() is not None


async def _record(session: AsyncSession, claim: Claim, made: NewArtifact) -> Any:
    values = {
        "id": uuid4(),
        "organization_id": claim.organization_id,
        "manifest_digest": made.manifest_digest,
        "repository": made.repository,
        "size_bytes": made.size_bytes,
        "entrypoint": made.entrypoint,
        "config": msgspec.json.encode(made.config).decode(),
    }
    artifact = (await session.execute(_ARTIFACT, values)).one()
    digests = sorted({b.digest for b in made.blobs})
    needs = {"artifact_id": artifact.id, "pull_id": claim.pull_id, "digests": digests}
    await session.execute(_NEEDS, needs)
    missing = await session.scalar(_MISSING, {"artifact_id": artifact.id, "digests": digests})
    if missing:
        raise BlobsMissing(f"{missing} blobs of {made.manifest_digest} are not in the store")
    names = sorted({made.manifest_digest, *made.digests})
    bound = {"organization_id": claim.organization_id, "artifact_id": artifact.id}
    await session.execute(_NAMES, {**bound, "digests": names})
    return artifact


def _owner(claim: Claim) -> dict[str, object]:
    return {"id": claim.pull_id, "worker": claim.worker, "attempt": claim.attempt}
