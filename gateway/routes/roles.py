"""/organizations/{organizationId}/roles: REST in front of RoleService."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.base import json
from gateway.schemas.errors import errors
from gateway.schemas.roles import (
    CreateOrganizationRole,
    OrganizationRole,
    UpdateOrganizationRole,
    role_from_proto,
)
from ratoon.orgs.v1 import role_pb2
from ratoon.orgs.v1 import role_service_pb2 as pb

operations = router("/organizations/{organizationId:segment}/roles", "organizations")


@operations.get(
    "",
    operation_id="listOrganizationRoles",
    summary="List the global roles and those of the organization",
    response_model=list[OrganizationRole],
    responses=errors(400),
)
@guarded("orgs.RoleService/ListRoles")
async def list_organization_roles(call: Call, organizationId: Segment) -> Response:
    organization_id = call.caller.organization_id
    request = pb.ListRolesRequest(
        organization_id=organization_id, page_size=call.page_size, page_token=call.page_token
    )
    async with call.visit.gateway.lists.of(organization_id):
        answer = await call.rpc(call.services.roles.ListRoles, request)
        call.say_next_page(answer.next_page_token)
        return json([role_from_proto(r) for r in answer.roles])


@operations.post(
    "",
    operation_id="createOrganizationRole",
    summary="Make a role",
    status_code=201,
    response_model=OrganizationRole,
    responses=errors(409, body=True),
)
@guarded("orgs.RoleService/CreateRole")
async def create_organization_role(
    call: Call, organizationId: Segment, body: CreateOrganizationRole
) -> Response:
    request = pb.CreateRoleRequest(
        organization_id=call.caller.organization_id,
        name=body.name,
        description=body.description,
        permissions=body.permissions,
        request_id=call.idempotency_key,
    )
    answer = await call.rpc(call.services.roles.CreateRole, request)
    return _told(call, answer.role, 201)


@operations.get(
    "/{roleId:segment}",
    operation_id="getOrganizationRole",
    summary="Get a role",
    response_model=OrganizationRole,
    responses=errors(404),
)
@guarded("orgs.RoleService/GetRole")
async def get_organization_role(call: Call, organizationId: Segment, roleId: Segment) -> Response:
    request = pb.GetRoleRequest(organization_id=call.caller.organization_id, role_id=roleId)
    answer = await call.rpc(call.services.roles.GetRole, request)
    return _told(call, answer.role)


@operations.put(
    "/{roleId:segment}",
    operation_id="updateOrganizationRole",
    summary="Replace a role; whoever holds it may the new at the next request",
    response_model=OrganizationRole,
    responses=errors(404, 412, body=True),
)
@guarded("orgs.RoleService/UpdateRole")
async def update_organization_role(
    call: Call, organizationId: Segment, roleId: Segment, body: UpdateOrganizationRole
) -> Response:
    request = pb.UpdateRoleRequest(
        organization_id=call.caller.organization_id,
        role_id=roleId,
        name=body.name,
        description=body.description,
        permissions=body.permissions,
        if_revision=call.if_revision,
    )
    answer = await call.rpc(call.services.roles.UpdateRole, request)
    return _told(call, answer.role)


@operations.delete(
    "/{roleId:segment}",
    operation_id="deleteOrganizationRole",
    summary="Delete a role that nobody holds",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(400, 404, 409, 412),
)
@guarded("orgs.RoleService/DeleteRole")
async def delete_organization_role(
    call: Call, organizationId: Segment, roleId: Segment
) -> Response:
    request = pb.DeleteRoleRequest(
        organization_id=call.caller.organization_id, role_id=roleId, if_revision=call.if_revision
    )
    await call.rpc(call.services.roles.DeleteRole, request)
    return Response(status_code=204)


def _told(call: Call, role: role_pb2.Role, status: int = 200) -> Response:
    call.say_revision(role.revision)
    response = json(role_from_proto(role))
    response.status_code = status
    return response
