"""/organizations: REST in front of OrganizationService."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.base import json
from gateway.schemas.errors import errors
from gateway.schemas.organizations import (
    CreateOrganization,
    Organization,
)
from gateway.schemas.settings import UpdateOrganizationDefaultRegion
from ratoon.orgs.v1 import organization_service_pb2 as pb

operations = router("/organizations", "organizations")


@operations.get(
    "",
    operation_id="listOrganizations",
    summary="List the caller's organizations",
    response_model=list[Organization],
    responses=errors(400),
)
@guarded("orgs.OrganizationService/ListOrganizations")
async def list_organizations(call: Call) -> Response:
    gateway, request = call.visit.gateway, pb.ListOrganizationsRequest()
    request.page_size, request.page_token = call.page_size, call.page_token
    async with gateway.lists.of(call.caller.organization_id or call.caller.user_id):
        answer = await call.rpc(call.services.organizations.ListOrganizations, request)
        call.say_next_page(answer.next_page_token)
        return json([gateway.shown.organization(o) for o in answer.organizations])


@operations.post(
    "",
    operation_id="createOrganization",
    summary="Create an organization; the caller is its owner",
    status_code=201,
    response_model=Organization,
    responses=errors(404, 409, body=True),
)
@guarded("orgs.OrganizationService/CreateOrganization")
async def create_organization(call: Call, body: CreateOrganization) -> Response:
    request = pb.CreateOrganizationRequest(
        name=body.name,
        default_region_id=body.default_region_id,
        request_id=call.idempotency_key,
    )
    answer = await call.rpc(call.services.organizations.CreateOrganization, request)
    call.say_revision(answer.organization.revision)
    response = json(call.visit.gateway.shown.organization(answer.organization))
    response.status_code = 201
    return response


@operations.get(
    "/{organizationId:segment}",
    operation_id="getOrganization",
    summary="Get an organization",
    response_model=Organization,
    responses=errors(),
)
@guarded("orgs.OrganizationService/GetOrganization")
async def get_organization(call: Call, organizationId: Segment) -> Response:
    request = pb.GetOrganizationRequest(organization_id=call.caller.organization_id)
    answer = await call.rpc(call.services.organizations.GetOrganization, request)
    call.say_revision(answer.organization.revision)
    return json(call.visit.gateway.shown.organization(answer.organization))


@operations.delete(
    "/{organizationId:segment}",
    operation_id="deleteOrganization",
    summary="Delete an organization",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(400, 412),
)
@guarded("orgs.OrganizationService/DeleteOrganization")
async def delete_organization(call: Call, organizationId: Segment) -> Response:
    request = pb.DeleteOrganizationRequest(
        organization_id=call.caller.organization_id, if_revision=call.if_revision
    )
    await call.rpc(call.services.organizations.DeleteOrganization, request)
    return Response(status_code=204)


@operations.patch(
    "/{organizationId:segment}/default-region",
    operation_id="setOrganizationDefaultRegion",
    summary="Choose the default region",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404, 409, 412, body=True),
)
@guarded("orgs.OrganizationService/SetDefaultRegion")
async def set_organization_default_region(
    call: Call,
    organizationId: Segment,
    body: UpdateOrganizationDefaultRegion,
) -> Response:
    request = pb.SetDefaultRegionRequest(
        organization_id=call.caller.organization_id,
        region_id=body.default_region_id,
        if_revision=call.if_revision,
    )
    await call.rpc(call.services.organizations.SetDefaultRegion, request)
    return Response(status_code=204)


@operations.post(
    "/{organizationId:segment}/leave",
    operation_id="leaveOrganization",
    summary="End the caller's own membership",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded("orgs.OrganizationService/LeaveOrganization")
async def leave_organization(call: Call, organizationId: Segment) -> Response:
    request = pb.LeaveOrganizationRequest(organization_id=call.caller.organization_id)
    await call.rpc(call.services.organizations.LeaveOrganization, request)
    return Response(status_code=204)
