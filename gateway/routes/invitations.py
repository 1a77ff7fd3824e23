"""/organizations/{organizationId}/invitations: REST in front of InvitationService, for those who invite."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.base import json
from gateway.schemas.errors import errors
from gateway.schemas.invitations import (
    CreateOrganizationInvitation,
    OrganizationInvitation,
    UpdateOrganizationInvitation,
    invitation_from_proto,
    invitations_from_proto,
    stamp,
)
from gateway.schemas.members import role_to_proto
from ratoon.orgs.v1 import invitation_pb2
from ratoon.orgs.v1 import invitation_service_pb2 as pb

operations = router("/organizations/{organizationId:segment}/invitations", "organizations")


@operations.get(
    "",
    operation_id="listOrganizationInvitations",
    summary="List the pending invitations",
    response_model=list[OrganizationInvitation],
    responses=errors(400),
)
@guarded("orgs.InvitationService/ListInvitations")
async def list_organization_invitations(call: Call, organizationId: Segment) -> Response:
    organization_id = call.caller.organization_id
    request = pb.ListInvitationsRequest(
        organization_id=organization_id, page_size=call.page_size, page_token=call.page_token
    )
    async with call.visit.gateway.lists.of(organization_id):
        answer = await call.rpc(call.services.invitations.ListInvitations, request)
        call.say_next_page(answer.next_page_token)
        return json(invitations_from_proto(answer.invitations))


@operations.post(
    "",
    operation_id="createOrganizationInvitation",
    summary="Invite a person by e-mail address",
    status_code=201,
    response_model=OrganizationInvitation,
    responses=errors(409, body=True),
)
@guarded("orgs.InvitationService/CreateInvitation")
async def create_organization_invitation(
    call: Call, organizationId: Segment, body: CreateOrganizationInvitation
) -> Response:
    request = pb.CreateInvitationRequest(
        organization_id=call.caller.organization_id,
        email=body.email,
        role=role_to_proto(body.role),
        role_ids=body.assigned_role_ids,
        expire_time=stamp(body.expires_at),
        request_id=call.idempotency_key,
    )
    answer = await call.rpc(call.services.invitations.CreateInvitation, request)
    return _told(call, answer.invitation, 201)


@operations.put(
    "/{invitationId:segment}",
    operation_id="updateOrganizationInvitation",
    summary="Replace what a pending invitation offers",
    response_model=OrganizationInvitation,
    responses=errors(404, 412, body=True),
)
@guarded("orgs.InvitationService/UpdateInvitation")
async def update_organization_invitation(
    call: Call, organizationId: Segment, invitationId: Segment, body: UpdateOrganizationInvitation
) -> Response:
    request = pb.UpdateInvitationRequest(
        organization_id=call.caller.organization_id,
        invitation_id=invitationId,
        role=role_to_proto(body.role),
        role_ids=body.assigned_role_ids,
        expire_time=stamp(body.expires_at),
        if_revision=call.if_revision,
    )
    answer = await call.rpc(call.services.invitations.UpdateInvitation, request)
    return _told(call, answer.invitation)


@operations.post(
    "/{invitationId:segment}/cancel",
    operation_id="cancelOrganizationInvitation",
    summary="Take a pending invitation back",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(400, 404, 412),
)
@guarded("orgs.InvitationService/CancelInvitation")
async def cancel_organization_invitation(
    call: Call, organizationId: Segment, invitationId: Segment
) -> Response:
    request = pb.CancelInvitationRequest(
        organization_id=call.caller.organization_id,
        invitation_id=invitationId,
        if_revision=call.if_revision,
    )
    await call.rpc(call.services.invitations.CancelInvitation, request)
    return Response(status_code=204)


@operations.post(
    "/{invitationId:segment}/resend",
    operation_id="resendOrganizationInvitation",
    summary="Send the mail once more",
    response_model=OrganizationInvitation,
    responses=errors(404),
)
@guarded("orgs.InvitationService/ResendInvitation")
async def resend_organization_invitation(
    call: Call, organizationId: Segment, invitationId: Segment
) -> Response:
    request = pb.ResendInvitationRequest(
        organization_id=call.caller.organization_id, invitation_id=invitationId
    )
    answer = await call.rpc(call.services.invitations.ResendInvitation, request)
    return _told(call, answer.invitation)


def _told(call: Call, invitation: invitation_pb2.Invitation, status: int = 200) -> Response:
    call.say_revision(invitation.revision)
    response = json(invitation_from_proto(invitation))
    response.status_code = status
    return response
