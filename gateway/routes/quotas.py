"""/organizations: what they may use and do use, and whether they are suspended."""

import asyncio

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.effect import take_effect
from gateway.paths import Segment
from gateway.schemas.errors import errors
from gateway.schemas.quotas import (
    AvailableSandboxClass,
    OrganizationSuspension,
    OrganizationUsageOverview,
    UpdateOrganizationQuota,
    UpdateOrganizationRegionQuota,
    usage_from_proto,
)
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1 import region_service_pb2
from ratoon.snapshots.v1 import snapshot_service_pb2

operations = router("/organizations", "organizations")


@operations.get(
    "/{organizationId:segment}/usage",
    operation_id="getOrganizationUsageOverview",
    summary="Show what the organization may use and does use",
    response_model=OrganizationUsageOverview,
    responses=errors(),
)
@guarded("orgs.OrganizationService/GetQuotas")
async def get_usage_overview(call: Call, organizationId: Segment) -> OrganizationUsageOverview:
    id_, services = call.caller.organization_id, call.services
    quotas, usage = await asyncio.gather(
        call.rpc(services.organizations.GetQuotas, pb.GetQuotasRequest(organization_id=id_)),
        call.rpc(
            services.snapshots.GetUsage, snapshot_service_pb2.GetUsageRequest(organization_id=id_)
        ),
    )
    return usage_from_proto(quotas, usage.snapshots)


@operations.get(
    "/{organizationId:segment}/available-sandbox-classes",
    operation_id="listAvailableSandboxClasses",
    summary="List the kinds of sandboxes that the organization may have, by region",
    response_model=list[AvailableSandboxClass],
    responses=errors(),
)
@guarded("orgs.RegionService/ListRegions")
async def list_available_sandbox_classes(
    call: Call, organizationId: Segment
) -> list[AvailableSandboxClass]:
    request = region_service_pb2.ListRegionsRequest(organization_id=call.caller.organization_id)
    answer = await call.rpc(call.services.regions.ListRegions, request)
    return [
        AvailableSandboxClass(region_id=r.id, sandbox_class="container", gpu_available=False)
        for r in answer.regions
    ]


@operations.patch(
    "/{organizationId:segment}/quota",
    operation_id="updateOrganizationQuota",
    summary="Change what an organization may use; for administrators of the installation",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404, body=True),
)
@guarded("orgs.OrganizationService/UpdateQuota")
async def update_quota(
    call: Call, organizationId: Segment, body: UpdateOrganizationQuota
) -> Response:
    request = body.to_proto(organizationId)
    await call.rpc(call.services.organizations.UpdateQuota, request)
    await take_effect(call, organizationId)
    return Response(status_code=204)


@operations.patch(
    "/{organizationId:segment}/quota/{regionId:segment}",
    operation_id="updateOrganizationRegionQuota",
    summary="Change what an organization may use in a region; for administrators of the installation",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404, body=True),
)
@guarded("orgs.OrganizationService/UpdateRegionQuota")
async def update_region_quota(
    call: Call, organizationId: Segment, regionId: Segment, body: UpdateOrganizationRegionQuota
) -> Response:
    return await change_region_quota(call, organizationId, regionId, body)


async def change_region_quota(
    call: Call, organization_id: str, region_id: str, body: UpdateOrganizationRegionQuota
) -> Response:
    request = body.to_proto(organization_id, region_id)
    await call.rpc(call.services.organizations.UpdateRegionQuota, request)
    await take_effect(call, organization_id)
    return Response(status_code=204)


@operations.post(
    "/{organizationId:segment}/suspend",
    operation_id="suspendOrganization",
    summary="Suspend an organization; for administrators of the installation",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404, body=True),
)
@guarded("orgs.OrganizationService/SuspendOrganization")
async def suspend_organization(
    call: Call, organizationId: Segment, body: OrganizationSuspension | None = None
) -> Response:
    asked = body or OrganizationSuspension()
    request = pb.SuspendOrganizationRequest(
        organization_id=organizationId,
        reason=asked.reason or "",
        cleanup_grace_period_hours=asked.suspension_cleanup_grace_period_hours,
    )
    if asked.until is not None:
        request.until_time.FromDatetime(asked.until)
    await call.rpc(call.services.organizations.SuspendOrganization, request)
    await take_effect(call, organizationId)
    return Response(status_code=204)


@operations.post(
    "/{organizationId:segment}/unsuspend",
    operation_id="unsuspendOrganization",
    summary="Lift a suspension; for administrators of the installation",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded("orgs.OrganizationService/UnsuspendOrganization")
async def unsuspend_organization(call: Call, organizationId: Segment) -> Response:
    request = pb.UnsuspendOrganizationRequest(organization_id=organizationId)
    await call.rpc(call.services.organizations.UnsuspendOrganization, request)
    await take_effect(call, organizationId)
    return Response(status_code=204)
