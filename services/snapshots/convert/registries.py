"""Registries: requests into drafts, rows into messages."""

from chassis.grpc.wire import to_timestamp
from ratoon.snapshots.v1 import registry_pb2
from ratoon.snapshots.v1 import registry_service_pb2 as pb
from services.snapshots.domain import registries
from services.snapshots.tables import Registry


def registry_draft_from_proto(
    request: pb.CreateRegistryRequest | pb.UpdateRegistryRequest,
) -> registries.Draft:
    """Check what is asked for. A project that is not said stays as it is."""
    said = isinstance(request, pb.CreateRegistryRequest) or request.HasField("project")
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
        revision=registry.revision,
    )
