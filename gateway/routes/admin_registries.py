"""/admin/docker-registry: what administrators of the installation do to any organization's registries."""

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.errors import errors
from gateway.schemas.registries import DockerRegistry, registry_from_proto
from ratoon.snapshots.v1 import registry_service_pb2 as pb

operations = router("/admin/docker-registry", "admin")


@operations.post(
    "/{id:segment}/set-default",
    operation_id="adminSetDefaultRegistry",
    summary="Have a registry come before others of its organization that fit an image just as well",
    response_model=DockerRegistry,
    responses=errors(404),
)
@guarded("snapshots.RegistryService/SetDefaultRegistry")
async def admin_set_default_registry(call: Call, id: Segment) -> DockerRegistry:
    request = pb.SetDefaultRegistryRequest(registry_id=id)
    answer = await call.rpc(call.services.registries.SetDefaultRegistry, request)
    call.say_revision(answer.registry.revision)
    return registry_from_proto(answer.registry)
