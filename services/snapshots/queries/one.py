"""One snapshot, by what its owner, or who may see it, calls it."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Pool
from services.snapshots.domain import (
    NAME_LENGTH,
    IdRequired,
    SnapshotNotFound,
)
from services.snapshots.queries.rows import (
    WIDTH,
    Row,
    columns,
)
from services.snapshots.queries.shares import LIVING

_GET = (
    f"SELECT {columns('s.shared_use')}, p.phase, p.bytes_done, p.bytes_total, p.attempt"
    " FROM ({} LIMIT 1) AS s LEFT JOIN pulls AS p ON p.id = s.pull_id"
)
# Branches are tried in order until one answers.
_ALL = "SELECT *, NULL::boolean AS shared_use FROM snapshots"
_SHARED = (
    "SELECT s.*, h.may_use AS shared_use FROM shares AS h JOIN snapshots AS s ON s.id = h.snapshot_id"
    f" WHERE h.receiver_id = $1 AND {LIVING} AND NOT s.general"
)
_OWN_NAME = f"{_ALL} WHERE organization_id = $1 AND name = $2"
_OWN_ID = f"{_ALL} WHERE id = $3 AND organization_id = $1"
# Whoever comes later takes nobody's place.
_SHARED_NAME = f"({_SHARED} AND h.name = $2 ORDER BY h.created_at, h.snapshot_id LIMIT 1)"
_SHARED_ID = f"{_SHARED} AND h.snapshot_id = $3"
_GENERAL_NAME = f"({_ALL} WHERE general AND name = $2 ORDER BY created_at, id LIMIT 1)"
_GENERAL_ID = f"{_ALL} WHERE id = $3 AND general"
# Own ones are asked for most: others are looked for only where there is no own one.
_OWN = _GET.format(_OWN_NAME), _GET.format(f"{_OWN_NAME} UNION ALL {_OWN_ID}")
_OTHER = (
    _GET.format(f"{_SHARED_NAME} UNION ALL {_GENERAL_NAME}"),
    _GET.format(" UNION ALL ".join((_SHARED_NAME, _SHARED_ID, _GENERAL_NAME, _GENERAL_ID))),
)
_EACH = (_OWN_NAME, _OWN_ID, _SHARED_NAME, _SHARED_ID, _GENERAL_NAME, _GENERAL_ID)
_BY_ID = text(_GET.format(f"{_ALL} WHERE id = :id"))
# Where phase, bytes done, bytes in all and attempt of its work begin.
PROGRESS = WIDTH
STANDING = (
    "id, organization_id, name, state, generation, general, pull_id, artifact_id, image_ref, region_ids,"
    " cpu, memory, disk, build_id, size_bytes, version"
)
_STANDING = text(
    f"SELECT {STANDING}"
    " FROM snapshots WHERE organization_id = :organization_id AND (id = :id OR name = :name)"
)
_MEANT = text(
    f"SELECT {STANDING}, shared_use FROM ("
    + " UNION ALL ".join(_EACH)
    .replace("$1", ":organization_id")
    .replace("$2", ":name")
    .replace("$3", "CAST(:id AS uuid)")
    + " LIMIT 1) AS s"
)
_STORED = text("SELECT stored FROM artifacts WHERE id = :id")


async def get(pool: Pool, organization_id: UUID, ref: str) -> Row:
    """Return the snapshot that is meant: own, shared, general, and each of these by name, then by id; the first there is."""
    id_ = _possible(ref)
    known = (organization_id, ref) if id_ is None else (organization_id, ref, id_)
    for by_name, by_any in (_OWN, _OTHER):
        row = await pool.fetchrow(by_name if id_ is None else by_any, *known)
        if row is not None:
            return row
    raise SnapshotNotFound(f"snapshot {ref} does not exist", snapshot=ref)


async def by_id(session: AsyncSession, id_: UUID) -> Row:
    """Return a snapshot as `get` does, within a transaction."""
    return (await session.execute(_BY_ID, {"id": id_})).one()


async def own(session: AsyncSession, organization_id: UUID, ref: str) -> tuple[Row | None, bool]:
    """Return the organization's own snapshot with that id, and whether the text is the name of one."""
    id_ = _possible(ref)
    bound = {"organization_id": organization_id, "id": id_, "name": ref}
    rows = (await session.execute(_STANDING, bound)).all()
    return next((r for r in rows if r.id == id_), None), any(r.name == ref for r in rows)


async def meant(session: AsyncSession, organization_id: UUID, ref: str) -> Row | None:
    """Return the standing of the snapshot that `get` returns, within a transaction; None: there is none."""
    bound = {"organization_id": organization_id, "name": ref, "id": _possible(ref)}
    return (await session.execute(_MEANT, bound)).one_or_none()


async def is_stored(session: AsyncSession, artifact_id: UUID | None) -> bool:
    """Tell whether an artifact is there, and in the store."""
    return bool(await session.scalar(_STORED, {"id": artifact_id}))


async def owned(session: AsyncSession, organization_id: UUID, ref: str) -> Row:
    """Return the organization's own snapshot with that id. Refused with SNAPSHOT_NOT_FOUND or SNAPSHOT_ID_REQUIRED."""
    snapshot, named = await own(session, organization_id, ref)
    if snapshot is not None:
        return snapshot
    if named:
        raise IdRequired(f"name snapshot {ref} by its id here", snapshot=ref)
    raise SnapshotNotFound(f"snapshot {ref} does not exist", snapshot=ref)


def _possible(ref: str) -> UUID | None:
    """Return the id that the text is; refuse what is neither an id nor a possible name."""
    # PostgreSQL takes no NUL, and the refusal must not repeat a text of any length.
    if "\0" in ref or len(ref) > NAME_LENGTH:
        raise SnapshotNotFound("there is no such snapshot")
    return uuid_from(ref)


def uuid_from(written: str) -> UUID | None:
    """Return the UUID that is written in the usual form, or None."""
    if len(written) != 36:
        return None
    try:
        id_ = UUID(written)
    except ValueError:
        return None
    return id_ if str(id_) == written.lower() else None
