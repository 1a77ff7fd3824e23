"""Snapshots: rows by position into messages."""

from typing import Any
from uuid import UUID

from ratoon.snapshots.v1 import snapshot_pb2
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from services.snapshots.convert.shares import rights_to_proto
from services.snapshots.domain import Build, Draft, Limits, State
from services.snapshots.queries.one import PROGRESS
from services.snapshots.queries.rows import ORGANIZATION_ID, USES, WIDTH, Row

# The published list of states is numbered in its own order, in the contract as in the table.
_NUMBERS = {state: number for number, state in enumerate(State, 1)}
_SECOND = 1_000_000


def fill(
    snapshot: snapshot_pb2.Snapshot,
    row: Row,
    progress: tuple[Any, ...] | None,
    limits: Limits | None,
) -> None:
    """Write a row (queries.rows) into a new message; `progress`: phase, bytes done, bytes in all, attempt.

    `limits`: it is somebody else's; what of it is its owner's business is left out, and so are regions that these
    limits do not make available. Lists are made of this, so the row is taken apart at once, and fields are set one by one
    and only if they say something: anything else costs half as much again.
    """
    (id_, organization, general, name, image, state, size, entrypoint, cpu, gpu, memory, disk,
     error, _, _, regions, ref, source, created, updated, used, _, _, uses, version, shared) = row[:WIDTH]  # fmt: skip
    snapshot.id, snapshot.organization_id = id_, organization
    snapshot.name, snapshot.image_ref, snapshot.state = name, image, state
    snapshot.cpu, snapshot.memory, snapshot.disk = cpu, memory, disk
    snapshot.version = version
    if size is not None:
        snapshot.size_bytes = size
    if entrypoint:
        snapshot.entrypoint.extend(entrypoint)
    if ref:
        snapshot.ref = ref
    if limits is not None:
        regions = [r for r in regions if limits.available(r)]
    snapshot.region_ids.extend(regions)
    _fill_times(snapshot, created, updated, used)
    if shared is not None:
        _fill_shared(snapshot, row, use=shared)
    elif general or gpu or error or source or uses or progress is not None:
        _fill_rest(snapshot, row, progress, own=limits is None)


def _fill_shared(snapshot: snapshot_pb2.Snapshot, row: Row, *, use: bool) -> None:
    """Say by whom it is shared, and for what. Why it failed, how far it is and where it comes from is its owner's to know."""
    snapshot.gpu, snapshot.shared_by = row[9], row[ORGANIZATION_ID]
    snapshot.share_rights.extend(rights_to_proto(use))


def _fill_rest(
    snapshot: snapshot_pb2.Snapshot, row: Row, progress: tuple[Any, ...] | None, *, own: bool
) -> None:
    """Write what most snapshots have not."""
    snapshot.general, snapshot.gpu = row[2], row[9]
    if own:
        snapshot.source_sandbox_id, snapshot.use_count = row[17], row[USES]
        if row[12]:
            snapshot.failure.code, snapshot.failure.reason, snapshot.failure.remedy = row[12:15]
    if progress is not None:
        at = snapshot.progress
        at.phase, at.bytes_done, at.bytes_total, at.attempt = progress


def whole(row: Row, limits: Limits | None) -> snapshot_pb2.Snapshot:
    """Return the message of one row that was read with its work; `limits` as in `fill`."""
    snapshot = snapshot_pb2.Snapshot()
    progress = tuple(row[PROGRESS:]) if row[PROGRESS] else None
    fill(snapshot, row, progress, limits)
    return snapshot


def created_to_proto(
    id_: UUID, organization_id: str, draft: Draft, made: Row
) -> pb.CreateSnapshotResponse:
    """Return the answer to a create; `made` is what commands.create returned."""
    state, ref, size_bytes, entrypoint, created, used = made[:6]
    answer = pb.CreateSnapshotResponse()
    snapshot, resources = answer.snapshot, draft.resources
    snapshot.id, snapshot.organization_id = str(id_), organization_id
    snapshot.name, snapshot.image_ref = draft.name, draft.image_ref
    snapshot.state, snapshot.ref = _NUMBERS[state], ref  # type: ignore[assignment]  # the number of a state
    snapshot.cpu, snapshot.gpu = resources.cpu, resources.gpu
    snapshot.memory, snapshot.disk = resources.memory, resources.disk
    snapshot.region_ids.append(draft.region_id)
    snapshot.version = 1
    if entrypoint:
        snapshot.entrypoint.extend(entrypoint)
    if size_bytes is not None:
        snapshot.size_bytes = size_bytes
    _fill_times(snapshot, created, created, used)
    return answer


def fill_build(snapshot: snapshot_pb2.Snapshot, build: Build) -> None:
    """Write what a snapshot was built from."""
    said = snapshot.build
    said.dockerfile, said.ref = build.recipe.dockerfile, build.ref
    said.context_hashes.extend(build.recipe.context_hashes)
    said.create_time.FromDatetime(build.created_at)
    said.update_time.FromDatetime(build.updated_at)


def _fill_times(
    snapshot: snapshot_pb2.Snapshot, created: int, updated: int, used: int | None
) -> None:
    stamp = snapshot.create_time
    stamp.seconds, stamp.nanos = created // _SECOND, created % _SECOND * 1000
    stamp = snapshot.update_time
    stamp.seconds, stamp.nanos = updated // _SECOND, updated % _SECOND * 1000
    if used is not None:
        stamp = snapshot.last_use_time
        stamp.seconds, stamp.nanos = used // _SECOND, used % _SECOND * 1000
