"""The part of orgs, made up, that deals with settings, quotas and suspensions."""

from typing import Any
from uuid import uuid4

from ratoon.orgs.v1 import organization_pb2
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceServicer
from tests.gateway_fakes.calls import STAMP, Calls


def a_region_quota(**more: Any) -> pb.RegionQuota:
    return pb.RegionQuota(
        create_time=STAMP,
        update_time=STAMP,
        total_cpu_quota=10,
        total_memory_quota=20,
        total_disk_quota=30,
        max_cpu_per_sandbox=2,
        **more,
    )


class FakeSettings(OrganizationServiceServicer):
    calls: Calls
    organizations: list[organization_pb2.Organization]

    async def UpdateOrganization(
        self, request: pb.UpdateOrganizationRequest, context: Any
    ) -> pb.UpdateOrganizationResponse:
        await self.calls.heard("UpdateOrganization", request, context)
        found = next(o for o in self.organizations if o.id == request.organization_id)
        if request.HasField("name"):
            found.name = request.name
            found.revision += 1
        return pb.UpdateOrganizationResponse(organization=found)

    async def CreateOrganizationForUser(
        self, request: pb.CreateOrganizationForUserRequest, context: Any
    ) -> pb.CreateOrganizationForUserResponse:
        await self.calls.heard("CreateOrganizationForUser", request, context)
        made = organization_pb2.Organization(
            id=str(uuid4()),
            create_time=STAMP,
            update_time=STAMP,
            name=request.name,
            created_by=request.user_id,
            revision=1,
        )
        return pb.CreateOrganizationForUserResponse(organization=made)

    async def SetOtelConfig(
        self, request: pb.SetOtelConfigRequest, context: Any
    ) -> pb.SetOtelConfigResponse:
        await self.calls.heard("SetOtelConfig", request, context)
        return pb.SetOtelConfigResponse()

    async def DeleteOtelConfig(
        self, request: pb.DeleteOtelConfigRequest, context: Any
    ) -> pb.DeleteOtelConfigResponse:
        await self.calls.heard("DeleteOtelConfig", request, context)
        return pb.DeleteOtelConfigResponse()

    async def GetOtelConfig(
        self, request: pb.GetOtelConfigRequest, context: Any
    ) -> pb.GetOtelConfigResponse:
        await self.calls.heard("GetOtelConfig", request, context)
        config = organization_pb2.OtelConfig(endpoint="https://otel", headers={"x-key": "open"})
        return pb.GetOtelConfigResponse(config=config)

    async def SetExperimentalConfig(
        self, request: pb.SetExperimentalConfigRequest, context: Any
    ) -> pb.SetExperimentalConfigResponse:
        await self.calls.heard("SetExperimentalConfig", request, context)
        return pb.SetExperimentalConfigResponse()

    async def SetLimitedNetworkEgress(
        self, request: pb.SetLimitedNetworkEgressRequest, context: Any
    ) -> pb.SetLimitedNetworkEgressResponse:
        await self.calls.heard("SetLimitedNetworkEgress", request, context)
        return pb.SetLimitedNetworkEgressResponse()

    async def SetPreviewWarning(
        self, request: pb.SetPreviewWarningRequest, context: Any
    ) -> pb.SetPreviewWarningResponse:
        await self.calls.heard("SetPreviewWarning", request, context)
        return pb.SetPreviewWarningResponse()

    async def GetLimits(self, request: pb.GetLimitsRequest, context: Any) -> pb.GetLimitsResponse:
        await self.calls.heard("GetLimits", request, context)
        return pb.GetLimitsResponse(default_region_id="eu")

    async def GetQuotas(self, request: pb.GetQuotasRequest, context: Any) -> pb.GetQuotasResponse:
        await self.calls.heard("GetQuotas", request, context)
        limits = organization_pb2.Limits(snapshot_quota=30, volume_quota=100)
        share = a_region_quota(organization_id=request.organization_id, region_id="us")
        return pb.GetQuotasResponse(limits=limits, regions=[share])

    async def UpdateQuota(
        self, request: pb.UpdateQuotaRequest, context: Any
    ) -> pb.UpdateQuotaResponse:
        await self.calls.heard("UpdateQuota", request, context)
        return pb.UpdateQuotaResponse()

    async def CreateRegionQuota(
        self, request: pb.CreateRegionQuotaRequest, context: Any
    ) -> pb.CreateRegionQuotaResponse:
        await self.calls.heard("CreateRegionQuota", request, context)
        return pb.CreateRegionQuotaResponse(quota=request.quota)

    async def UpdateRegionQuota(
        self, request: pb.UpdateRegionQuotaRequest, context: Any
    ) -> pb.UpdateRegionQuotaResponse:
        await self.calls.heard("UpdateRegionQuota", request, context)
        return pb.UpdateRegionQuotaResponse()

    async def GetRegionQuota(
        self, request: pb.GetRegionQuotaRequest, context: Any
    ) -> pb.GetRegionQuotaResponse:
        await self.calls.heard("GetRegionQuota", request, context)
        ids = {"organization_id": request.organization_id, "region_id": request.region_id}
        return pb.GetRegionQuotaResponse(quota=a_region_quota(**ids))

    async def DeleteRegionQuota(
        self, request: pb.DeleteRegionQuotaRequest, context: Any
    ) -> pb.DeleteRegionQuotaResponse:
        await self.calls.heard("DeleteRegionQuota", request, context)
        return pb.DeleteRegionQuotaResponse()

    async def SuspendOrganization(
        self, request: pb.SuspendOrganizationRequest, context: Any
    ) -> pb.SuspendOrganizationResponse:
        await self.calls.heard("SuspendOrganization", request, context)
        return pb.SuspendOrganizationResponse()

    async def UnsuspendOrganization(
        self, request: pb.UnsuspendOrganizationRequest, context: Any
    ) -> pb.UnsuspendOrganizationResponse:
        await self.calls.heard("UnsuspendOrganization", request, context)
        return pb.UnsuspendOrganizationResponse()
