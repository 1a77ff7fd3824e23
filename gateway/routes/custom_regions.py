"""/regions: an organization's own regions, REST in front of RegionService."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.errors import errors
from gateway.schemas.regions import (
    CreateRegion,
    CreateRegionResponse,
    RegenerateApiKeyResponse,
    Region,
    SnapshotManagerCredentials,
    UpdateRegion,
    changes_of,
    created_from_proto,
    region_from_proto,
)
from ratoon.orgs.v1 import region_service_pb2 as pb

operations = router("/regions", "organizations")


@operations.post(
    "",
    operation_id="createRegion",
    summary="Create a region; the secrets are in the answer and nowhere else",
    status_code=201,
    response_model=CreateRegionResponse,
    responses=errors(409, body=True),
)
@guarded("orgs.RegionService/CreateRegion")
async def create_region(call: Call, body: CreateRegion) -> CreateRegionResponse:
    request = pb.CreateRegionRequest(
        organization_id=call.caller.organization_id,
        name=body.name,
        proxy_url=body.proxy_url or "",
        ssh_gateway_url=body.ssh_gateway_url or "",
        snapshot_manager_url=body.snapshot_manager_url or "",
        otel_endpoint=body.otel_endpoint or "",
        request_id=call.idempotency_key,
    )
    return created_from_proto(await call.rpc(call.services.regions.CreateRegion, request))


@operations.get(
    "/{id:segment}",
    operation_id="getRegionById",
    summary="Get a region of the organization's own",
    response_model=Region,
    responses=errors(404),
)
@guarded("orgs.RegionService/GetRegion")
async def get_region_by_id(call: Call, id: Segment) -> Region:
    request = pb.GetRegionRequest(organization_id=call.caller.organization_id, region_id=id)
    answer = await call.rpc(call.services.regions.GetRegion, request)
    return region_from_proto(answer.region)


@operations.patch(
    "/{id:segment}",
    operation_id="updateRegion",
    summary="Change addresses of a region",
    response_class=Response,
    response_model=None,
    responses=errors(404, body=True),
)
@guarded("orgs.RegionService/UpdateRegion")
async def update_region(call: Call, id: Segment, body: UpdateRegion) -> Response:
    request = pb.UpdateRegionRequest(
        organization_id=call.caller.organization_id, region_id=id, **changes_of(body)
    )
    await call.rpc(call.services.regions.UpdateRegion, request)
    return Response()


@operations.delete(
    "/{id:segment}",
    operation_id="deleteRegion",
    summary="Delete a region",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(400, 404),
)
@guarded("orgs.RegionService/DeleteRegion")
async def delete_region(call: Call, id: Segment) -> Response:
    request = pb.DeleteRegionRequest(organization_id=call.caller.organization_id, region_id=id)
    await call.rpc(call.services.regions.DeleteRegion, request)
    return Response(status_code=204)


@operations.post(
    "/{id:segment}/regenerate-proxy-api-key",
    operation_id="regenerateProxyApiKey",
    summary="Replace the key of a region's proxy",
    response_model=RegenerateApiKeyResponse,
    responses=errors(400, 404),
)
@guarded("orgs.RegionService/RegenerateRegionCredential")
async def regenerate_proxy_api_key(call: Call, id: Segment) -> RegenerateApiKeyResponse:
    secrets = await _regenerate(call, id, pb.REGION_CREDENTIAL_KIND_PROXY)
    return RegenerateApiKeyResponse(api_key=secrets.proxy_api_key)


@operations.post(
    "/{id:segment}/regenerate-ssh-gateway-api-key",
    operation_id="regenerateSshGatewayApiKey",
    summary="Replace the key of a region's SSH gateway",
    response_model=RegenerateApiKeyResponse,
    responses=errors(400, 404),
)
@guarded("orgs.RegionService/RegenerateRegionCredential")
async def regenerate_ssh_gateway_api_key(call: Call, id: Segment) -> RegenerateApiKeyResponse:
    secrets = await _regenerate(call, id, pb.REGION_CREDENTIAL_KIND_SSH_GATEWAY)
    return RegenerateApiKeyResponse(api_key=secrets.ssh_gateway_api_key)


@operations.post(
    "/{id:segment}/regenerate-snapshot-manager-credentials",
    operation_id="regenerateSnapshotManagerCredentials",
    summary="Replace the password of a region's registry",
    response_model=SnapshotManagerCredentials,
    responses=errors(400, 404),
)
@guarded("orgs.RegionService/RegenerateRegionCredential")
async def regenerate_snapshot_manager_credentials(
    call: Call, id: Segment
) -> SnapshotManagerCredentials:
    secrets = await _regenerate(call, id, pb.REGION_CREDENTIAL_KIND_SNAPSHOT_MANAGER)
    return SnapshotManagerCredentials(
        username=secrets.snapshot_manager_username, password=secrets.snapshot_manager_password
    )


async def _regenerate(
    call: Call, id_: str, kind: pb.RegionCredentialKind.ValueType
) -> pb.RegionSecrets:
    request = pb.RegenerateRegionCredentialRequest(
        organization_id=call.caller.organization_id, region_id=id_, kind=kind
    )
    answer = await call.rpc(call.services.regions.RegenerateRegionCredential, request)
    return answer.secrets
