"""Versions: rows into messages."""

from typing import Any

from chassis.grpc.wire import to_timestamp
from ratoon.snapshots.v1 import version_pb2
from services.snapshots.domain import version_state


def version_to_proto(row: Any) -> version_pb2.Version:
    """Return a version of queries.versions."""
    state = version_state(row.state, current=row.current, running=row.running, built=row.built)
    version = version_pb2.Version(
        number=row.number,
        create_time=to_timestamp(row.created_at),
        created_by=row.created_by,
        snapshot_id=str(row.id),
        image_ref=row.image_ref,
        state=version_pb2.VersionState.Value(f"VERSION_STATE_{state.name}"),
        current=row.current,
        ref=row.ref,
        size_bytes=row.size_bytes,
        stored=row.stored,
        build_ref=row.build_ref,
    )
    if row.error_code:
        failure = version.failure
        failure.code, failure.reason = row.error_code, row.error_reason
        failure.remedy = row.error_remedy
    if row.phase is not None:
        at = version.progress
        at.phase, at.attempt = row.phase, row.attempt
        at.bytes_done, at.bytes_total = row.bytes_done, row.bytes_total
    return version
