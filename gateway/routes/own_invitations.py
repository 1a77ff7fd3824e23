"""/organizations/invitations: REST in front of InvitationService, for those who are invited."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.base import json
from gateway.schemas.errors import errors
from gateway.schemas.invitations import (
    OrganizationInvitation,
    invitation_from_proto,
    invitations_from_proto,
)
from ratoon.orgs.v1 import invitation_service_pb2 as pb

operations = router("/organizations/invitations", "organizations")


@operations.get(
    "",
    operation_id="listOrganizationInvitationsForAuthenticatedUser",
    summary="List the caller's pending invitations",
    response_model=list[OrganizationInvitation],
    responses=errors(),
)
@guarded("orgs.InvitationService/ListOwnInvitations")
async def list_own_invitations(call: Call) -> Response:
    stub = call.services.invitations
    async with call.visit.gateway.lists.of(call.caller.organization_id or call.caller.user_id):
        answer = await call.rpc(stub.ListOwnInvitations, pb.ListOwnInvitationsRequest())
        return json(invitations_from_proto(answer.invitations))


@operations.get(
    "/count",
    operation_id="getOrganizationInvitationsCountForAuthenticatedUser",
    summary="Count the caller's pending invitations",
    response_model=int,
    responses=errors(),
)
@guarded("orgs.InvitationService/CountOwnInvitations")
async def count_own_invitations(call: Call) -> Response:
    stub = call.services.invitations
    answer = await call.rpc(stub.CountOwnInvitations, pb.CountOwnInvitationsRequest())
    return json(answer.count)


@operations.post(
    "/{invitationId:segment}/accept",
    operation_id="acceptOrganizationInvitation",
    summary="Join the organization as the invitation says",
    response_model=OrganizationInvitation,
    responses=errors(404, 409),
)
@guarded("orgs.InvitationService/AcceptInvitation")
async def accept_organization_invitation(call: Call, invitationId: Segment) -> Response:
    request = pb.AcceptInvitationRequest(invitation_id=invitationId)
    answer = await call.rpc(call.services.invitations.AcceptInvitation, request)
    return json(invitation_from_proto(answer.invitation))


@operations.post(
    "/{invitationId:segment}/decline",
    operation_id="declineOrganizationInvitation",
    summary="Decline the invitation",
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded("orgs.InvitationService/DeclineInvitation")
async def decline_organization_invitation(call: Call, invitationId: Segment) -> Response:
    request = pb.DeclineInvitationRequest(invitation_id=invitationId)
    await call.rpc(call.services.invitations.DeclineInvitation, request)
    return Response()
