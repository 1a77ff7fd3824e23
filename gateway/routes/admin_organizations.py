"""/admin/organizations: what administrators of the installation do to any organization."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.effect import take_effect
from gateway.paths import Segment
from gateway.routes.organization_settings import set_preview_warning
from gateway.routes.quotas import change_region_quota
from gateway.schemas.base import json
from gateway.schemas.errors import errors
from gateway.schemas.organizations import Organization
from gateway.schemas.quotas import (
    CreateOrganizationRegionQuota,
    RegionQuota,
    SandboxClass,
    UpdateOrganizationRegionQuota,
    region_quota_from_proto,
)
from gateway.schemas.settings import AdminCreateOrganization, OrganizationPreviewWarning
from ratoon.orgs.v1 import organization_service_pb2 as pb

operations = router("/admin/organizations", "admin")


@operations.post(
    "",
    operation_id="adminCreateOrganization",
    summary="Create an organization for a user, who is its owner",
    status_code=201,
    response_model=Organization,
    responses=errors(404, 409, body=True),
)
@guarded("orgs.OrganizationService/CreateOrganizationForUser")
async def admin_create_organization(call: Call, body: AdminCreateOrganization) -> Response:
    request = pb.CreateOrganizationForUserRequest(
        user_id=body.user_id,
        name=body.name,
        default_region_id=body.default_region_id,
        request_id=call.idempotency_key,
    )
    answer = await call.rpc(call.services.organizations.CreateOrganizationForUser, request)
    call.say_revision(answer.organization.revision)
    response = json(call.visit.gateway.shown.organization(answer.organization))
    response.status_code = 201
    return response


# Owners have a path of their own for it; this one is for administrators alone, as the rule of a quota is.
@operations.post(
    "/{organizationId:segment}/preview-warning",
    operation_id="adminUpdateOrganizationPreviewWarning",
    summary="Say whether previews of an organization are shown behind a warning",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404, 412, body=True),
)
@guarded("orgs.OrganizationService/UpdateQuota")
async def admin_update_preview_warning(
    call: Call, organizationId: Segment, body: OrganizationPreviewWarning
) -> Response:
    return await set_preview_warning(call, organizationId, body)


@operations.post(
    "/{organizationId:segment}/quota/{regionId:segment}",
    operation_id="adminCreateOrganizationRegionQuota",
    summary="Let an organization use a region",
    status_code=201,
    response_model=RegionQuota,
    responses=errors(404, 409, body=True),
)
@guarded("orgs.OrganizationService/CreateRegionQuota")
async def admin_create_region_quota(
    call: Call, organizationId: Segment, regionId: Segment, body: CreateOrganizationRegionQuota
) -> RegionQuota:
    request = body.to_proto(organizationId, regionId)
    answer = await call.rpc(call.services.organizations.CreateRegionQuota, request)
    await take_effect(call, organizationId)
    return region_quota_from_proto(answer.quota)


@operations.patch(
    "/{organizationId:segment}/quota/{regionId:segment}",
    operation_id="adminUpdateOrganizationRegionQuota",
    summary="Change what an organization may use in a region",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404, body=True),
)
@guarded("orgs.OrganizationService/UpdateRegionQuota")
async def admin_update_region_quota(
    call: Call, organizationId: Segment, regionId: Segment, body: UpdateOrganizationRegionQuota
) -> Response:
    return await change_region_quota(call, organizationId, regionId, body)


@operations.get(
    "/{organizationId:segment}/quota/{regionId:segment}/{sandboxClass:segment}",
    operation_id="adminGetOrganizationRegionQuota",
    summary="Get what an organization may use in a region",
    response_model=RegionQuota,
    responses=errors(400, 404),
)
@guarded("orgs.OrganizationService/GetRegionQuota")
async def admin_get_region_quota(
    call: Call, organizationId: Segment, regionId: Segment, sandboxClass: SandboxClass
) -> RegionQuota:
    request = pb.GetRegionQuotaRequest(
        organization_id=organizationId, region_id=regionId, sandbox_class=sandboxClass
    )
    answer = await call.rpc(call.services.organizations.GetRegionQuota, request)
    return region_quota_from_proto(answer.quota)


@operations.delete(
    "/{organizationId:segment}/quota/{regionId:segment}/{sandboxClass:segment}",
    operation_id="adminDeleteOrganizationRegionQuota",
    summary="Take a region from an organization",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(400, 404),
)
@guarded("orgs.OrganizationService/DeleteRegionQuota")
async def admin_delete_region_quota(
    call: Call, organizationId: Segment, regionId: Segment, sandboxClass: SandboxClass
) -> Response:
    request = pb.DeleteRegionQuotaRequest(
        organization_id=organizationId, region_id=regionId, sandbox_class=sandboxClass
    )
    await call.rpc(call.services.organizations.DeleteRegionQuota, request)
    await take_effect(call, organizationId)
    return Response(status_code=204)
