"""The making of a snapshot, in one statement: place of the quota, name, work, event; all of it or nothing."""

from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg

from chassis.outbox import encode
from services.snapshots.commands.seen import BUILD_SEEN
from services.snapshots.domain import (
    DEFAULT_ENTRYPOINT,
    Busy,
    Draft,
    LimitsOutdated,
    NameTaken,
    OrganizationGone,
    QuotaExceeded,
    Recipe,
    SnapshotCreated,
    SnapshotSeen,
    State,
)

# asyncpg's pooled and plain connections share no type.
Connection: TypeAlias = Any

_ATTEMPTS = 20
# The usage row is changed last: whoever waits for it waits for nothing but a commit. Its CHECK refuses one place too
# many, and what is asked for under limits that are known to hold no longer, whatever was read before; the look at it and at the name to begin with spares the rows that would be thrown away.
_FREE = """
WITH free AS MATERIALIZED (
    SELECT FROM usage WHERE organization_id = $2 AND used < $4 AND NOT closed AND limits_revision <= $15
    AND NOT EXISTS (SELECT FROM snapshots WHERE organization_id = $2 AND name = $3))"""
# Work that runs already is joined. The lock keeps it from ending before the new snapshot is seen to wait for it.
_PULL = """
, joined AS MATERIALIZED (
    SELECT p.id FROM free, pulls AS p
    WHERE p.organization_id = $2 AND p.image_ref = $5 AND p.digest = '' FOR KEY SHARE OF p)
, started AS (
    INSERT INTO pulls (id, organization_id, image_ref)
    SELECT $6, $2, $5 FROM free WHERE NOT EXISTS (SELECT FROM joined){unless}
    ON CONFLICT DO NOTHING RETURNING id)
, pull AS (SELECT id FROM joined UNION ALL SELECT id FROM started)"""
_INSERT = "INSERT INTO snapshots (id, organization_id, name, image_ref, entrypoint, cpu, gpu, memory, disk, region_ids, version_by"
_VALUES = (
    "SELECT $1, $2, $3, $5, {entrypoint}, $7, $8, $9, $10, $11,"
    " coalesce($14::jsonb->>'user_id', '')"
)
_RETURNING = "RETURNING state, ref, size_bytes, entrypoint, created_at, last_used_at"
_BY_TAG = f"""
, made AS (
    {_INSERT}, state, pull_id)
    {_VALUES.format(entrypoint="$12::text[]")}, 'pending', pull.id FROM pull
    {_RETURNING})"""
_BY_DIGEST = f"""
, made AS (
    {_INSERT}, state, pull_id, artifact_id, ref, size_bytes, last_used_at)
    {_VALUES.format(entrypoint="coalesce($12::text[], held.entrypoint)")},
        CASE WHEN held.id IS NULL THEN 'pending' ELSE 'active' END, pull.id,
        held.id, coalesce(held.ref, ''), held.size_bytes, CASE WHEN held.id IS NOT NULL THEN now() END
    FROM (SELECT) AS one LEFT JOIN held ON true LEFT JOIN pull ON held.id IS NULL
    WHERE held.id IS NOT NULL OR pull.id IS NOT NULL
    {_RETURNING})"""
_HELD = """
, held AS MATERIALIZED (
    SELECT a.id, a.repository || '@' || a.manifest_digest AS ref, a.size_bytes, a.entrypoint
    FROM free, artifact_digests AS d, artifacts AS a
    WHERE d.organization_id = $2 AND d.digest = $16 AND a.id = d.artifact_id AND a.stored FOR KEY SHARE OF a)"""
_TOLD = """
, told AS (
    INSERT INTO outbox (type, organization_id, payload, origin)
    SELECT 'snapshot_created', ($2::uuid)::text, {payload}, $14::jsonb FROM made RETURNING id)
UPDATE usage SET used = used + 1, total = total + 1,
    ceiling = CASE WHEN closed OR limits_revision > $15 THEN -1 ELSE $4 END
FROM made, told WHERE organization_id = $2
RETURNING made.state, made.ref, made.size_bytes, made.entrypoint,
    (date_part('epoch', made.created_at) * 1000000)::bigint,
    (date_part('epoch', made.last_used_at) * 1000000)::bigint,
    EXISTS (SELECT FROM started)"""
_HELD_BUILD = """
, held AS MATERIALIZED (
    SELECT b.id AS build_id, a.id, a.repository || '@' || a.manifest_digest AS ref, a.size_bytes, a.entrypoint, {build} AS said
    FROM free, builds AS b, artifacts AS a
    WHERE b.organization_id = $2 AND b.key = $17 AND b.state = 'built' AND a.id = b.artifact_id AND a.stored
    ORDER BY b.created_at DESC LIMIT 1 FOR KEY SHARE OF a, b)
, joined AS MATERIALIZED (
    SELECT p.id, b.id AS build_id, {build} AS said FROM free, builds AS b, pulls AS p
    WHERE b.organization_id = $2 AND b.key = $17 AND b.state = 'building' AND p.build_id = b.id
    AND NOT EXISTS (SELECT FROM held) FOR KEY SHARE OF p, b)
, building AS (
    INSERT INTO builds AS b (id, organization_id, key, ref, dockerfile, context_hashes)
    SELECT $16, $2, $17, $18, $19, $20 FROM free
    WHERE NOT EXISTS (SELECT FROM held) AND NOT EXISTS (SELECT FROM joined)
    ON CONFLICT DO NOTHING RETURNING id, {build} AS said)
, started AS (
    INSERT INTO pulls (id, organization_id, image_ref, digest, build_id)
    SELECT $6, $2, $5, id::text, id FROM building RETURNING id)
, work AS (SELECT id, build_id FROM joined UNION ALL SELECT $6, id FROM building)
, made AS (
    """
_BUILT = f"""{_HELD_BUILD.format(build=BUILD_SEEN)}{_INSERT}, state, pull_id, build_id, artifact_id, ref, size_bytes, last_used_at)
    {_VALUES.format(entrypoint="CASE WHEN held.id IS NOT NULL THEN coalesce(held.entrypoint, $12::text[]) END")},
        CASE WHEN held.id IS NULL THEN 'building' ELSE 'active' END, work.id, coalesce(held.build_id, work.build_id),
        held.id, coalesce(held.ref, ''), held.size_bytes, CASE WHEN held.id IS NOT NULL THEN now() END
    FROM (SELECT) AS one LEFT JOIN held ON true LEFT JOIN work ON held.id IS NULL
    WHERE held.id IS NOT NULL OR work.id IS NOT NULL
    {_RETURNING}, build_id)"""
# Whether it is active at once, and what is known of it then, shows only here.
_AS_MADE = (
    "jsonb_set($13::jsonb, '{state}', to_jsonb(state)) || jsonb_build_object('seen', ($13::jsonb -> 'seen')"
    " || jsonb_build_object('ref', ref, 'size_bytes', size_bytes, 'entrypoint', entrypoint,"
    " 'last_use_micros', (date_part('epoch', last_used_at) * 1000000)::bigint))"
)
# And of one that is built what it is built from: of what was asked for before, as it was then.
_AS_BUILT = (
    f"jsonb_set({_AS_MADE}, '{{seen,build}}', coalesce((SELECT said FROM held), (SELECT said FROM joined),"
    " (SELECT said FROM building)))"
)
CREATE_BY_TAG = _FREE + _PULL.format(unless="") + _BY_TAG + _TOLD.format(payload="$13::jsonb")
CREATE_BY_DIGEST = (
    _FREE
    + _HELD
    + _PULL.format(unless=" AND NOT EXISTS (SELECT FROM held)")
    + _BY_DIGEST
    + _TOLD.format(payload=_AS_MADE)
)
CREATE_BUILD = _FREE + _BUILT + _TOLD.format(payload=_AS_BUILT) + ", made.build_id"
_WHY = """
SELECT u.closed, u.limits_revision > $4, u.used >= $3, EXISTS (SELECT FROM snapshots WHERE organization_id = $1 AND name = $2)
FROM usage AS u WHERE u.organization_id = $1"""
# The first review finds out when something may be idle, and each one when the next is due.
_OPEN_ACCOUNT = """
WITH asked AS (INSERT INTO reviews (organization_id) VALUES ($1) ON CONFLICT DO NOTHING)
INSERT INTO usage (organization_id) VALUES ($1) ON CONFLICT DO NOTHING"""

# Where a row of CREATE_… says that there is new work, not only more who wait for what is done already.
STARTED = 6
# And which build it is, where it is one.
BUILD_ID = 7
# id, then what CREATE_… returns
Created: TypeAlias = tuple[UUID, "asyncpg.Record"]


async def create(
    connection: Connection, organization_id: UUID, draft: Draft, *, quota: int, revision: int
) -> Created:
    """Make the snapshot; within the caller's transaction if there is one, else as one of its own.

    Refused with SNAPSHOT_QUOTA_EXCEEDED or SNAPSHOT_NAME_TAKEN, having changed nothing; so has LimitsOutdated, raised
    when limits of a later `revision` than those of the draft are known.
    """
    statement, values = _bind(organization_id, draft, quota, revision)
    for _ in range(_ATTEMPTS):
        try:
            if connection.is_in_transaction():
                async with connection.transaction():
                    row = await connection.fetchrow(statement, *values)
            else:
                row = await connection.fetchrow(statement, *values)
        except (asyncpg.UniqueViolationError, asyncpg.CheckViolationError):
            # Lost a race for the name or the last place; the look below tells which.
            row = None
        if row is not None:
            return values[0], row
        await _refuse(connection, organization_id, draft.name, quota, revision)
    raise Busy("the organization's snapshots are being changed by many at once: try again")


async def _refuse(
    connection: Connection, organization_id: UUID, name: str, quota: int, revision: int
) -> None:
    """Refuse for the reason that stands; return if none does any more, so that it is tried again."""
    why = await connection.fetchrow(_WHY, organization_id, name, quota, revision)
    if why is None:
        await connection.execute(_OPEN_ACCOUNT, organization_id)
        return
    closed, outdated, full, taken = why
    if closed:
        raise OrganizationGone("the organization is deleted")
    if outdated:
        raise LimitsOutdated
    if full:
        raise QuotaExceeded(f"all {quota} snapshots of the quota are in use", quota=str(quota))
    if taken:
        raise NameTaken(f"a snapshot named {name} exists", name=name)


def _bind(organization_id: UUID, draft: Draft, quota: int, revision: int) -> tuple[str, list[Any]]:
    id_, r = uuid4(), draft.resources
    regions = [draft.region_id]
    resources = (r.cpu, r.gpu, r.memory, r.disk)
    seen = SnapshotSeen(
        image_ref=draft.image_ref,
        cpu=r.cpu,
        gpu=r.gpu,
        memory=r.memory,
        disk=r.disk,
        region_ids=regions,
        entrypoint=draft.entrypoint,
    )
    event = SnapshotCreated(str(id_), draft.name, State.PENDING, regions, seen)
    _, payload, origin = encode(event)
    values = [id_, organization_id, draft.name, quota, draft.image_ref, uuid4(), *resources]
    entrypoint = draft.entrypoint if draft.build is None else DEFAULT_ENTRYPOINT
    values += [regions, entrypoint, payload, origin, revision]
    if draft.build is not None:
        return CREATE_BUILD, values + _build(organization_id, draft.build)
    if not draft.digest:
        return CREATE_BY_TAG, values
    return CREATE_BY_DIGEST, [*values, draft.digest]


def _build(organization_id: UUID, asked: Recipe) -> list[Any]:
    key = asked.key(organization_id)
    return [uuid4(), key, asked.ref, asked.dockerfile, list(asked.context_hashes)]
