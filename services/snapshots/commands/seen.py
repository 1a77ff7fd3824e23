"""What events tell of a snapshot besides its id, its name and its state."""

from typing import Any

from sqlalchemy import Row

from services.snapshots.domain import BuildSeen, SnapshotSeen

# Of a row of builds that is called `b`.
BUILD_SEEN = """jsonb_build_object('dockerfile', b.dockerfile, 'context_hashes', b.context_hashes, 'ref', b.ref,
    'create_micros', (date_part('epoch', b.created_at) * 1000000)::bigint,
    'update_micros', (date_part('epoch', b.updated_at) * 1000000)::bigint)"""
# Columns by the names of the event's fields.
_COLUMNS = {
    "general": "s.general",
    "image_ref": "s.image_ref",
    "size_bytes": "s.size_bytes",
    "entrypoint": "s.entrypoint",
    "cpu": "s.cpu",
    "gpu": "s.gpu",
    "memory": "s.memory",
    "disk": "s.disk",
    "region_ids": "s.region_ids",
    "ref": "s.ref",
    "source_sandbox_id": "s.source_sandbox_id",
    "failure_code": "s.error_code",
    "failure_reason": "s.error_reason",
    "failure_remedy": "s.error_remedy",
    "version": "s.version",
    "use_count": "s.use_count",
    "create_micros": "(date_part('epoch', s.created_at) * 1000000)::bigint",
    "update_micros": "(date_part('epoch', s.updated_at) * 1000000)::bigint",
    "last_use_micros": "(date_part('epoch', s.last_used_at) * 1000000)::bigint",
    "build": f"(SELECT {BUILD_SEEN} FROM builds AS b WHERE b.id = s.build_id)",
}
# Of a table or a changed row that is called `s`; for `sqlalchemy.text`, to which a colon means a parameter.
SEEN = ", ".join(f"{sql} AS {name}" for name, sql in _COLUMNS.items()).replace("::", "\\:\\:")


def seen(row: Row[Any]) -> SnapshotSeen:
    """Return what a row that was read with SEEN says."""
    said = {name: getattr(row, name) for name in _COLUMNS}
    if said["build"] is not None:
        said["build"] = BuildSeen(**said["build"])
    return SnapshotSeen(**said)
