"""proto ↔ Python: rows by position into messages, requests into drafts."""

from typing import Any
from uuid import UUID

from chassis.grpc.wire import from_timestamp, to_timestamp
from ratoon.snapshots.v1 import (
    registry_pb2,
    share_pb2,
    share_service_pb2,
    snapshot_pb2,
    version_pb2,
    version_service_pb2,
)
from ratoon.snapshots.v1 import registry_service_pb2 as registry_pb
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from services.snapshots.commands.shares import Terms
from services.snapshots.domain import (
    Build,
    Draft,
    EntrypointWithBuild,
    ImageAndBuild,
    ImageOrBuildRequired,
    Limits,
    PageInvalid,
    Resources,
    Right,
    ShareExpiryInvalid,
    ShareReceiverInvalid,
    ShareRightsInvalid,
    State,
    Wish,
    check_name,
    check_resources,
    entrypoint_from,
    may_use,
    pinned,
    recipe,
    registries,
    rights,
    version_state,
)
from services.snapshots.queries.one import PROGRESS, uuid_from
from services.snapshots.queries.page import Sort, Wanted
from services.snapshots.queries.rows import ORGANIZATION_ID, USES, WIDTH, Row
from services.snapshots.tables import Registry

_PAGE_MOST, _SKIP_MOST = 200, 2**40
_DEFAULTS = {"cpu": 1, "gpu": 0, "memory": 1, "disk": 3}
# The published list of states is numbered in its own order, in the contract as in the table.
_NUMBERS = {state: number for number, state in enumerate(State, 1)}
_SECOND = 1_000_000
_Source = pb.CreateSnapshotRequest | version_service_pb2.SetImageRequest
_RIGHTS = {Right.READ: snapshot_pb2.SHARE_RIGHT_READ, Right.USE: snapshot_pb2.SHARE_RIGHT_USE}
_NAMED = {number: right for right, number in _RIGHTS.items()}


def draft_from_proto(request: pb.CreateSnapshotRequest, limits: Limits, now: float) -> Draft:
    """Check a request in the published order and return what it asks for."""
    entrypoint = entrypoint_from(request.entrypoint)
    resources = _resources(request)
    _check_source(request, entrypoint)
    region_id = limits.region(request.region_id.strip())
    check_name(request.name)
    digest, build = "", None
    if wants_build(request):
        build = recipe(request.build.dockerfile, request.build.context_hashes)
    else:
        digest = pinned(request.image_ref)
    limits.check_not_suspended(now)
    limits.check_resources(
        region_id, cpu=resources.cpu, memory=resources.memory, disk=resources.disk
    )
    return Draft(request.name, request.image_ref, digest, entrypoint, resources, region_id, build)


def wish_from_proto(request: version_service_pb2.SetImageRequest) -> Wish:
    """Return what the version is to be made of. Refused with IMAGE_…, DOCKERFILE_INVALID or CONTEXT_HASH_INVALID."""
    _check_source(request, None)
    if wants_build(request):
        return Wish("", "", recipe(request.build.dockerfile, request.build.context_hashes))
    return Wish(request.image_ref, pinned(request.image_ref))


def wants_build(request: _Source) -> bool:
    return request.HasField("build")


def _resources(request: pb.CreateSnapshotRequest) -> Resources:
    given = {
        what: getattr(request, what) if request.HasField(what) else default  # type: ignore[arg-type]  # one of four names
        for what, default in _DEFAULTS.items()
    }
    resources = Resources(**given)
    check_resources(resources)
    return resources


def _check_source(request: _Source, entrypoint: list[str] | None) -> None:
    if not wants_build(request):
        if not request.image_ref:
            raise ImageOrBuildRequired("name an image or give a Dockerfile")
        return
    if request.image_ref:
        raise ImageAndBuild("name an image or give a Dockerfile, not both")
    if entrypoint:
        raise EntrypointWithBuild("the Dockerfile says what a sandbox runs")
    if not request.build.dockerfile.strip():
        raise ImageOrBuildRequired("the Dockerfile is empty")


def page_from_proto(request: pb.ListSnapshotsRequest) -> Wanted:
    if not 1 <= request.page_size <= _PAGE_MOST or not 0 <= request.skip <= _SKIP_MOST:
        raise PageInvalid(f"a page holds 1 to {_PAGE_MOST} snapshots", most=str(_PAGE_MOST))
    if request.sort not in pb.SnapshotSort.values():
        raise PageInvalid("this is nothing to sort by")
    return Wanted(
        limit=request.page_size,
        skip=request.skip,
        sort=Sort(request.sort) if request.sort else Sort.LAST_USED,
        ascending=request.ascending,
        name_contains=request.name_contains,
        source_sandbox_id=request.source_sandbox_id,
    )


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
    snapshot.share_rights.extend(_RIGHTS[right] for right in rights(use))


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


def registry_draft_from_proto(
    request: registry_pb.CreateRegistryRequest | registry_pb.UpdateRegistryRequest,
) -> registries.Draft:
    """Check what is asked for. A project that is not said stays as it is."""
    said = isinstance(request, registry_pb.CreateRegistryRequest) or request.HasField("project")
    project = request.project if said else None
    return registries.draft(request.name, request.url, request.username, request.password, project)


def registry_to_proto(registry: Registry) -> registry_pb2.Registry:
    return registry_pb2.Registry(
        id=str(registry.id),
        organization_id=str(registry.organization_id),
        name=registry.name,
        url=registry.url,
        username=registry.username,
        project=registry.project,
        default=registry.preferred,
        create_time=to_timestamp(registry.created_at),
        update_time=to_timestamp(registry.updated_at),
    )


def terms_from_proto(request: share_service_pb2.PutShareRequest) -> Terms:
    """Return what is to be shared with whom. Refused with SHARE_…_INVALID."""
    unknown = [number for number in request.rights if number not in _NAMED]
    if unknown:
        raise ShareRightsInvalid("there are two rights: read and use")
    use = may_use(_NAMED[number] for number in request.rights)
    expires = None
    if request.HasField("expire_time"):
        try:
            expires = from_timestamp(request.expire_time)
        except (ValueError, OverflowError):
            raise ShareExpiryInvalid("the moment is out of range") from None
    return Terms(receiver_from(request.receiver_id), use, expires)


def receiver_from(written: str) -> UUID:
    receiver = uuid_from(written)
    if receiver is None:
        raise ShareReceiverInvalid("name the organization by its id")
    return receiver


def share_to_proto(row: Any) -> share_pb2.Share:
    """Return a share of queries.shares.COLUMNS."""
    receiver, use, expires, revision, created, updated = row[:6]
    return share_pb2.Share(
        receiver_id=str(receiver),
        create_time=to_timestamp(created),
        update_time=to_timestamp(updated),
        rights=[_RIGHTS[right] for right in rights(use)],
        expire_time=to_timestamp(expires),
        revision=revision,
    )


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
