"""/regions and /shared-regions: REST in front of RegionService."""

from gateway.access import guarded, router
from gateway.call import Call
from gateway.schemas.errors import errors
from gateway.schemas.regions import Region, region_from_proto
from ratoon.orgs.v1 import region_service_pb2 as pb

operations = router("")


@operations.get(
    "/regions",
    operation_id="listAvailableRegions",
    summary="List the regions that the organization may use",
    tags=["organizations"],
    response_model=list[Region],
    responses=errors(),
)
@guarded("orgs.RegionService/ListRegions")
async def list_available_regions(call: Call) -> list[Region]:
    request = pb.ListRegionsRequest(organization_id=call.caller.organization_id)
    answer = await call.rpc(call.services.regions.ListRegions, request)
    return [region_from_proto(r) for r in answer.regions]


@operations.get(
    "/shared-regions",
    operation_id="listSharedRegions",
    summary="List the regions that are everybody's",
    tags=["regions"],
    response_model=list[Region],
    responses=errors(public=True),
)
@guarded("orgs.RegionService/ListSharedRegions")
async def list_shared_regions(call: Call) -> list[Region]:
    request = pb.ListSharedRegionsRequest()
    answer = await call.rpc(call.services.regions.ListSharedRegions, request)
    return [region_from_proto(r) for r in answer.regions]
