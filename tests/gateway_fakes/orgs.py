"""orgs, made up."""

from typing import Any
from uuid import uuid4

from ratoon.orgs.v1 import (
    organization_pb2,
    organization_service_pb2,
)
from tests.gateway_fakes.calls import ORG, OTHER, STAMP, USER, Calls
from tests.gateway_fakes.settings import FakeSettings


def an_organization(id_: str = ORG, **more: Any) -> organization_pb2.Organization:
    limits = organization_pb2.Limits(
        max_cpu_per_sandbox=4,
        max_memory_per_sandbox=8,
        max_disk_per_sandbox=10,
        snapshot_deactivation_timeout_minutes=20_160,
        suspension_cleanup_grace_period_hours=24,
    )
    return organization_pb2.Organization(
        id=id_,
        create_time=STAMP,
        update_time=STAMP,
        name="Personal",
        created_by=USER,
        limits=limits,
        revision=3,
        **more,
    )


class FakeOrganizations(
    FakeSettings,
):
    def __init__(self) -> None:
        self.calls = Calls()
        self.organizations = [an_organization(default_region_id="us"), an_organization(OTHER)]

    async def CreateOrganization(
        self, request: organization_service_pb2.CreateOrganizationRequest, context: Any
    ) -> organization_service_pb2.CreateOrganizationResponse:
        await self.calls.heard("CreateOrganization", request, context)
        made = an_organization(str(uuid4()), default_region_id=request.default_region_id)
        made.name = request.name
        return organization_service_pb2.CreateOrganizationResponse(organization=made)

    async def ListOrganizations(
        self, request: organization_service_pb2.ListOrganizationsRequest, context: Any
    ) -> organization_service_pb2.ListOrganizationsResponse:
        await self.calls.heard("ListOrganizations", request, context)
        page = self.organizations[: request.page_size or None]
        more = "next" if len(page) < len(self.organizations) else ""
        return organization_service_pb2.ListOrganizationsResponse(
            organizations=page, next_page_token=more
        )

    async def GetOrganization(
        self, request: organization_service_pb2.GetOrganizationRequest, context: Any
    ) -> organization_service_pb2.GetOrganizationResponse:
        await self.calls.heard("GetOrganization", request, context)
        found = next(o for o in self.organizations if o.id == request.organization_id)
        return organization_service_pb2.GetOrganizationResponse(organization=found)

    async def SetDefaultRegion(
        self, request: organization_service_pb2.SetDefaultRegionRequest, context: Any
    ) -> organization_service_pb2.SetDefaultRegionResponse:
        await self.calls.heard("SetDefaultRegion", request, context)
        return organization_service_pb2.SetDefaultRegionResponse()

    async def DeleteOrganization(
        self, request: organization_service_pb2.DeleteOrganizationRequest, context: Any
    ) -> organization_service_pb2.DeleteOrganizationResponse:
        await self.calls.heard("DeleteOrganization", request, context)
        return organization_service_pb2.DeleteOrganizationResponse()

    async def LeaveOrganization(
        self, request: organization_service_pb2.LeaveOrganizationRequest, context: Any
    ) -> organization_service_pb2.LeaveOrganizationResponse:
        await self.calls.heard("LeaveOrganization", request, context)
        return organization_service_pb2.LeaveOrganizationResponse()
