"""/docker-registry: REST in front of RegistryService."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.errors import errors
from gateway.schemas.registries import (
    CreateDockerRegistry,
    DockerRegistry,
    RegistryTest,
    UpdateDockerRegistry,
    change_of,
    creation_of,
    registry_from_proto,
)
from ratoon.snapshots.v1 import registry_service_pb2 as pb

operations = router("/docker-registry", "docker-registry")


@operations.post(
    "",
    operation_id="createRegistry",
    summary="Create a registry; its password is kept encrypted and never answered",
    status_code=201,
    response_model=DockerRegistry,
    responses=errors(409, body=True),
)
@guarded("snapshots.RegistryService/CreateRegistry")
async def create_registry(call: Call, body: CreateDockerRegistry) -> DockerRegistry:
    request = creation_of(body)
    request.organization_id = call.caller.organization_id
    request.request_id = call.idempotency_key
    answer = await call.rpc(call.services.registries.CreateRegistry, request)
    call.say_revision(answer.registry.revision)
    return registry_from_proto(answer.registry)


@operations.get(
    "",
    operation_id="listRegistries",
    summary="List registries, newest first",
    response_model=list[DockerRegistry],
    responses=errors(),
)
@guarded("snapshots.RegistryService/ListRegistries")
async def list_registries(call: Call) -> list[DockerRegistry]:
    request = pb.ListRegistriesRequest(organization_id=call.caller.organization_id)
    answer = await call.rpc(call.services.registries.ListRegistries, request)
    return [registry_from_proto(each) for each in answer.registries]


@operations.get(
    "/{id:segment}",
    operation_id="getRegistry",
    summary="Get a registry",
    response_model=DockerRegistry,
    responses=errors(404),
)
@guarded("snapshots.RegistryService/GetRegistry")
async def get_registry(call: Call, id: Segment) -> DockerRegistry:
    request = pb.GetRegistryRequest(organization_id=call.caller.organization_id, registry_id=id)
    answer = await call.rpc(call.services.registries.GetRegistry, request)
    call.say_revision(answer.registry.revision)
    return registry_from_proto(answer.registry)


@operations.patch(
    "/{id:segment}",
    operation_id="updateRegistry",
    summary="Change a registry; without a password the one that is kept stays",
    response_model=DockerRegistry,
    responses=errors(404, 412, body=True),
)
@guarded("snapshots.RegistryService/UpdateRegistry")
async def update_registry(call: Call, id: Segment, body: UpdateDockerRegistry) -> DockerRegistry:
    request = change_of(body)
    request.organization_id, request.registry_id = call.caller.organization_id, id
    if call.if_revision is not None:
        request.if_revision = call.if_revision
    answer = await call.rpc(call.services.registries.UpdateRegistry, request)
    call.say_revision(answer.registry.revision)
    return registry_from_proto(answer.registry)


@operations.delete(
    "/{id:segment}",
    operation_id="deleteRegistry",
    summary="Delete a registry",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(400, 404, 412),
)
@guarded("snapshots.RegistryService/DeleteRegistry")
async def delete_registry(call: Call, id: Segment) -> Response:
    request = pb.DeleteRegistryRequest(
        organization_id=call.caller.organization_id, registry_id=id, if_revision=call.if_revision
    )
    await call.rpc(call.services.registries.DeleteRegistry, request)
    return Response(status_code=204)


@operations.post(
    "/{id:segment}/test",
    operation_id="testRegistry",
    summary="Log in at a registry with what is kept for it, and say how that went",
    response_model=RegistryTest,
    responses=errors(404),
)
@guarded("snapshots.RegistryService/TestRegistry")
async def test_registry(call: Call, id: Segment) -> RegistryTest:
    request = pb.TestRegistryRequest(organization_id=call.caller.organization_id, registry_id=id)
    answer = await call.rpc(call.services.registries.TestRegistry, request)
    return RegistryTest(ok=answer.ok, code=answer.code, reason=answer.reason)
