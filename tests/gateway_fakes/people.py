"""Members, roles and invitations of orgs, made up."""

from typing import Any

from ratoon.access.v1 import access_pb2
from ratoon.orgs.v1 import (
    invitation_pb2,
    invitation_service_pb2,
    invitation_service_pb2_grpc,
    member_pb2,
    member_service_pb2,
    member_service_pb2_grpc,
    role_pb2,
    role_service_pb2,
    role_service_pb2_grpc,
)
from tests.gateway_fakes.calls import ORG, STAMP, USER, Calls

_MEMBER = access_pb2.ORGANIZATION_ROLE_MEMBER


def a_role(id_: str = "r", **more: Any) -> role_pb2.Role:
    said = {"name": "Developer", "permissions": ["write:sandboxes"], "revision": 3, **more}
    return role_pb2.Role(id=id_, create_time=STAMP, update_time=STAMP, **said)


def a_member(user_id: str = USER, **more: Any) -> member_pb2.Member:
    said = {"role": access_pb2.ORGANIZATION_ROLE_OWNER, "revision": 4, "roles": [a_role()], **more}
    return member_pb2.Member(
        organization_id=ORG, create_time=STAMP, update_time=STAMP, user_id=user_id, **said
    )


def an_invitation(id_: str = "i", **more: Any) -> invitation_pb2.Invitation:
    said = {
        "email": "guest@example.com",
        "invited_by": "ada@example.com",
        "role": _MEMBER,
        "roles": [a_role()],
        "status": invitation_pb2.INVITATION_STATUS_PENDING,
        "revision": 5,
        **more,
    }
    return invitation_pb2.Invitation(
        id=id_,
        create_time=STAMP,
        update_time=STAMP,
        expire_time=STAMP,
        organization_id=ORG,
        organization_name="Shop",
        **said,
    )


class FakePeople(
    member_service_pb2_grpc.MemberServiceServicer,
    role_service_pb2_grpc.RoleServiceServicer,
    invitation_service_pb2_grpc.InvitationServiceServicer,
):
    def __init__(self) -> None:
        self.calls = Calls()
        self.next_page_token = ""
        self.invitation = an_invitation()

    async def ListMembers(
        self, request: member_service_pb2.ListMembersRequest, context: Any
    ) -> member_service_pb2.ListMembersResponse:
        await self.calls.heard("ListMembers", request, context)
        return member_service_pb2.ListMembersResponse(
            members=[a_member()], next_page_token=self.next_page_token
        )

    async def GetMember(
        self, request: member_service_pb2.GetMemberRequest, context: Any
    ) -> member_service_pb2.GetMemberResponse:
        await self.calls.heard("GetMember", request, context)
        return member_service_pb2.GetMemberResponse(member=a_member(request.user_id))

    async def UpdateMemberAccess(
        self, request: member_service_pb2.UpdateMemberAccessRequest, context: Any
    ) -> member_service_pb2.UpdateMemberAccessResponse:
        await self.calls.heard("UpdateMemberAccess", request, context)
        member = a_member(request.user_id, role=request.role)
        return member_service_pb2.UpdateMemberAccessResponse(member=member)

    async def RemoveMember(
        self, request: member_service_pb2.RemoveMemberRequest, context: Any
    ) -> member_service_pb2.RemoveMemberResponse:
        await self.calls.heard("RemoveMember", request, context)
        return member_service_pb2.RemoveMemberResponse()

    async def CreateServiceAccount(
        self, request: member_service_pb2.CreateServiceAccountRequest, context: Any
    ) -> member_service_pb2.CreateServiceAccountResponse:
        await self.calls.heard("CreateServiceAccount", request, context)
        member = a_member(
            "service-account-1", name=request.name, role=_MEMBER, service_account=True
        )
        return member_service_pb2.CreateServiceAccountResponse(member=member)

    async def ResolveMembership(
        self, request: member_service_pb2.ResolveMembershipRequest, context: Any
    ) -> member_service_pb2.ResolveMembershipResponse:
        raise NotImplementedError

    async def ListRoles(
        self, request: role_service_pb2.ListRolesRequest, context: Any
    ) -> role_service_pb2.ListRolesResponse:
        await self.calls.heard("ListRoles", request, context)
        return role_service_pb2.ListRolesResponse(
            roles=[a_role("1", is_global=True), a_role("2")], next_page_token=self.next_page_token
        )

    async def GetRole(
        self, request: role_service_pb2.GetRoleRequest, context: Any
    ) -> role_service_pb2.GetRoleResponse:
        await self.calls.heard("GetRole", request, context)
        return role_service_pb2.GetRoleResponse(role=a_role(request.role_id))

    async def CreateRole(
        self, request: role_service_pb2.CreateRoleRequest, context: Any
    ) -> role_service_pb2.CreateRoleResponse:
        await self.calls.heard("CreateRole", request, context)
        role = a_role(name=request.name, permissions=request.permissions)
        return role_service_pb2.CreateRoleResponse(role=role)

    async def UpdateRole(
        self, request: role_service_pb2.UpdateRoleRequest, context: Any
    ) -> role_service_pb2.UpdateRoleResponse:
        await self.calls.heard("UpdateRole", request, context)
        role = a_role(request.role_id, name=request.name, permissions=request.permissions)
        return role_service_pb2.UpdateRoleResponse(role=role)

    async def DeleteRole(
        self, request: role_service_pb2.DeleteRoleRequest, context: Any
    ) -> role_service_pb2.DeleteRoleResponse:
        await self.calls.heard("DeleteRole", request, context)
        return role_service_pb2.DeleteRoleResponse()

    async def CreateInvitation(
        self, request: invitation_service_pb2.CreateInvitationRequest, context: Any
    ) -> invitation_service_pb2.CreateInvitationResponse:
        await self.calls.heard("CreateInvitation", request, context)
        return invitation_service_pb2.CreateInvitationResponse(invitation=self.invitation)

    async def ListInvitations(
        self, request: invitation_service_pb2.ListInvitationsRequest, context: Any
    ) -> invitation_service_pb2.ListInvitationsResponse:
        await self.calls.heard("ListInvitations", request, context)
        return invitation_service_pb2.ListInvitationsResponse(
            invitations=[self.invitation], next_page_token=self.next_page_token
        )

    async def UpdateInvitation(
        self, request: invitation_service_pb2.UpdateInvitationRequest, context: Any
    ) -> invitation_service_pb2.UpdateInvitationResponse:
        await self.calls.heard("UpdateInvitation", request, context)
        return invitation_service_pb2.UpdateInvitationResponse(invitation=self.invitation)

    async def CancelInvitation(
        self, request: invitation_service_pb2.CancelInvitationRequest, context: Any
    ) -> invitation_service_pb2.CancelInvitationResponse:
        await self.calls.heard("CancelInvitation", request, context)
        return invitation_service_pb2.CancelInvitationResponse()

    async def ResendInvitation(
        self, request: invitation_service_pb2.ResendInvitationRequest, context: Any
    ) -> invitation_service_pb2.ResendInvitationResponse:
        await self.calls.heard("ResendInvitation", request, context)
        return invitation_service_pb2.ResendInvitationResponse(invitation=self.invitation)

    async def ListOwnInvitations(
        self, request: invitation_service_pb2.ListOwnInvitationsRequest, context: Any
    ) -> invitation_service_pb2.ListOwnInvitationsResponse:
        await self.calls.heard("ListOwnInvitations", request, context)
        return invitation_service_pb2.ListOwnInvitationsResponse(invitations=[self.invitation])

    async def CountOwnInvitations(
        self, request: invitation_service_pb2.CountOwnInvitationsRequest, context: Any
    ) -> invitation_service_pb2.CountOwnInvitationsResponse:
        await self.calls.heard("CountOwnInvitations", request, context)
        return invitation_service_pb2.CountOwnInvitationsResponse(count=1)

    async def AcceptInvitation(
        self, request: invitation_service_pb2.AcceptInvitationRequest, context: Any
    ) -> invitation_service_pb2.AcceptInvitationResponse:
        await self.calls.heard("AcceptInvitation", request, context)
        accepted = an_invitation(
            request.invitation_id, status=invitation_pb2.INVITATION_STATUS_ACCEPTED
        )
        return invitation_service_pb2.AcceptInvitationResponse(invitation=accepted)

    async def DeclineInvitation(
        self, request: invitation_service_pb2.DeclineInvitationRequest, context: Any
    ) -> invitation_service_pb2.DeclineInvitationResponse:
        await self.calls.heard("DeclineInvitation", request, context)
        return invitation_service_pb2.DeclineInvitationResponse()
