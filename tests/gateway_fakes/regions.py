"""An organization's own regions, made up."""

from typing import Any

from ratoon.orgs.v1 import region_pb2, region_service_pb2_grpc
from ratoon.orgs.v1 import region_service_pb2 as pb
from tests.gateway_fakes.calls import ORG, STAMP, Calls

KEY = "dtn_" + "e" * 64
_SECRETS = {
    pb.REGION_CREDENTIAL_KIND_PROXY: pb.RegionSecrets(proxy_api_key=KEY),
    pb.REGION_CREDENTIAL_KIND_SSH_GATEWAY: pb.RegionSecrets(ssh_gateway_api_key=KEY),
    pb.REGION_CREDENTIAL_KIND_SNAPSHOT_MANAGER: pb.RegionSecrets(
        snapshot_manager_username="daytona", snapshot_manager_password=KEY
    ),
}


class FakeRegions(region_service_pb2_grpc.RegionServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()
        self.secrets = pb.RegionSecrets(proxy_api_key=KEY)

    async def ListSharedRegions(
        self, request: pb.ListSharedRegionsRequest, context: Any
    ) -> pb.ListSharedRegionsResponse:
        await self.calls.heard("ListSharedRegions", request, context)
        return pb.ListSharedRegionsResponse(regions=[_shared()])

    async def ListRegions(
        self, request: pb.ListRegionsRequest, context: Any
    ) -> pb.ListRegionsResponse:
        await self.calls.heard("ListRegions", request, context)
        return pb.ListRegionsResponse(regions=[_shared()])

    async def GetRegion(self, request: pb.GetRegionRequest, context: Any) -> pb.GetRegionResponse:
        await self.calls.heard("GetRegion", request, context)
        return pb.GetRegionResponse(region=_own(request.region_id))

    async def CreateRegion(
        self, request: pb.CreateRegionRequest, context: Any
    ) -> pb.CreateRegionResponse:
        await self.calls.heard("CreateRegion", request, context)
        return pb.CreateRegionResponse(region=_own("eu_x1y2"), secrets=self.secrets)

    async def UpdateRegion(
        self, request: pb.UpdateRegionRequest, context: Any
    ) -> pb.UpdateRegionResponse:
        await self.calls.heard("UpdateRegion", request, context)
        return pb.UpdateRegionResponse()

    async def DeleteRegion(
        self, request: pb.DeleteRegionRequest, context: Any
    ) -> pb.DeleteRegionResponse:
        await self.calls.heard("DeleteRegion", request, context)
        return pb.DeleteRegionResponse()

    async def RegenerateRegionCredential(
        self, request: pb.RegenerateRegionCredentialRequest, context: Any
    ) -> pb.RegenerateRegionCredentialResponse:
        await self.calls.heard("RegenerateRegionCredential", request, context)
        return pb.RegenerateRegionCredentialResponse(secrets=_SECRETS[request.kind])


def _shared() -> region_pb2.Region:
    return region_pb2.Region(
        id="us",
        create_time=STAMP,
        update_time=STAMP,
        name="us",
        type=region_pb2.REGION_TYPE_SHARED,
    )


def _own(id_: str) -> region_pb2.Region:
    return region_pb2.Region(
        id=id_,
        create_time=STAMP,
        update_time=STAMP,
        name="EU",
        organization_id=ORG,
        type=region_pb2.REGION_TYPE_CUSTOM,
        proxy_url="https://p.example",
        otel_endpoint="http://o.example:4318",
    )
