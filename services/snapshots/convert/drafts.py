"""Requests for something new, checked, into what is asked for."""

from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from ratoon.snapshots.v1 import version_service_pb2
from services.snapshots.domain import (
    Draft,
    EntrypointWithBuild,
    ImageAndBuild,
    ImageOrBuildRequired,
    Limits,
    Resources,
    Wish,
    check_name,
    check_resources,
    entrypoint_from,
    pinned,
    recipe,
)

_DEFAULTS = {"cpu": 1, "gpu": 0, "memory": 1, "disk": 3}
_Source = pb.CreateSnapshotRequest | version_service_pb2.SetImageRequest


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
