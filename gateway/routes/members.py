"""/organizations/{organizationId}/users and /service-accounts: REST in front of MemberService."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.base import json
from gateway.schemas.errors import errors
from gateway.schemas.members import (
    CreateServiceAccount,
    OrganizationUser,
    UpdateOrganizationMemberAccess,
    member_from_proto,
    members_from_proto,
    role_to_proto,
)
from ratoon.orgs.v1 import member_pb2
from ratoon.orgs.v1 import member_service_pb2 as pb

operations = router("/organizations/{organizationId:segment}", "organizations")


@operations.get(
    "/users",
    operation_id="listOrganizationMembers",
    summary="List the members of an organization",
    response_model=list[OrganizationUser],
    responses=errors(400),
)
@guarded("orgs.MemberService/ListMembers")
async def list_organization_members(call: Call, organizationId: Segment) -> Response:
    organization_id = call.caller.organization_id
    request = pb.ListMembersRequest(
        organization_id=organization_id, page_size=call.page_size, page_token=call.page_token
    )
    async with call.visit.gateway.lists.of(organization_id):
        answer = await call.rpc(call.services.members.ListMembers, request)
        call.say_next_page(answer.next_page_token)
        return json(members_from_proto(answer.members))


@operations.get(
    "/users/{userId:segment}",
    operation_id="getOrganizationMember",
    summary="Get a member of an organization",
    response_model=OrganizationUser,
    responses=errors(404),
)
@guarded("orgs.MemberService/GetMember")
async def get_organization_member(call: Call, organizationId: Segment, userId: Segment) -> Response:
    request = pb.GetMemberRequest(organization_id=call.caller.organization_id, user_id=userId)
    answer = await call.rpc(call.services.members.GetMember, request)
    return _told(call, answer.member)


@operations.post(
    "/users/{userId:segment}/access",
    operation_id="updateAccessForOrganizationMember",
    summary="Replace role and assigned roles of a member",
    response_model=OrganizationUser,
    responses=errors(404, 412, body=True),
)
@guarded("orgs.MemberService/UpdateMemberAccess")
async def update_access_for_organization_member(
    call: Call, organizationId: Segment, userId: Segment, body: UpdateOrganizationMemberAccess
) -> Response:
    request = pb.UpdateMemberAccessRequest(
        organization_id=call.caller.organization_id,
        user_id=userId,
        role=role_to_proto(body.role),
        role_ids=body.assigned_role_ids,
        if_revision=call.if_revision,
    )
    answer = await call.rpc(call.services.members.UpdateMemberAccess, request)
    return _told(call, answer.member)


@operations.delete(
    "/users/{userId:segment}",
    operation_id="deleteOrganizationMember",
    summary="End a membership; its keys are refused at once",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(400, 404, 412),
)
@guarded("orgs.MemberService/RemoveMember")
async def delete_organization_member(
    call: Call, organizationId: Segment, userId: Segment
) -> Response:
    request = pb.RemoveMemberRequest(
        organization_id=call.caller.organization_id, user_id=userId, if_revision=call.if_revision
    )
    await call.rpc(call.services.members.RemoveMember, request)
    return Response(status_code=204)


@operations.post(
    "/service-accounts",
    operation_id="createServiceAccount",
    summary="Make an account for programs: a member without a person",
    status_code=201,
    response_model=OrganizationUser,
    responses=errors(409, body=True),
)
@guarded("orgs.MemberService/CreateServiceAccount")
async def create_service_account(
    call: Call, organizationId: Segment, body: CreateServiceAccount
) -> Response:
    request = pb.CreateServiceAccountRequest(
        organization_id=call.caller.organization_id,
        name=body.name,
        role_ids=body.assigned_role_ids,
        request_id=call.idempotency_key,
    )
    answer = await call.rpc(call.services.members.CreateServiceAccount, request)
    return _told(call, answer.member, 201)


def _told(call: Call, member: member_pb2.Member, status: int = 200) -> Response:
    call.say_revision(member.revision)
    response = json(member_from_proto(member))
    response.status_code = status
    return response
