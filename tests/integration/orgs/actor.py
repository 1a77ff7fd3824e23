"""Somebody who acts in an organization."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from chassis.grpc.wire import to_timestamp
from ratoon.access.v1 import access_pb2
from ratoon.orgs.v1 import invitation_service_pb2 as invitation_pb
from ratoon.orgs.v1 import member_service_pb2 as member_pb
from ratoon.orgs.v1 import role_service_pb2 as role_pb
from ratoon.orgs.v1.invitation_pb2 import Invitation
from ratoon.orgs.v1.member_pb2 import Member
from ratoon.orgs.v1.role_pb2 import Role
from tests.integration.orgs.conftest import House, Metadata

GLOBAL = "00000000-0000-0000-0000-00000000000"
DEVELOPER, AUDITOR = f"{GLOBAL}1", f"{GLOBAL}7"
UNKNOWN = "00000000-0000-4000-8000-00000000dead"
ROLES = {
    "owner": access_pb2.ORGANIZATION_ROLE_OWNER,
    "member": access_pb2.ORGANIZATION_ROLE_MEMBER,
}


@dataclass(frozen=True)
class Actor:
    house: House
    user_id: str
    organization_id: str
    role: str = "owner"

    @property
    def email(self) -> str:
        return f"{self.user_id}@example.com"

    def at(self, organization_id: str, role: str = "owner") -> "Actor":
        return replace(self, organization_id=organization_id, role=role)

    def metadata(self, **more: Any) -> Metadata:
        return self.house.as_user(self.user_id, self.organization_id, self.role, **more)

    async def joined(self, role: str = "member") -> "Actor":
        """Return somebody else, who is in the organization now."""
        user_id, _ = await self.house.person()
        await self.house.join(user_id, self.organization_id, role)
        return replace(self, user_id=user_id, role=role)

    async def make_role(self, name: str = "own", key: str = "", **more: Any) -> Role:
        said = {"description": "", "permissions": ["write:sandboxes"], **more}
        request = role_pb.CreateRoleRequest(
            organization_id=self.organization_id, name=name, request_id=key, **said
        )
        return (await self.house.roles.CreateRole(request, metadata=self.metadata())).role

    async def change_role(self, role_id: str, name: str = "own", **more: Any) -> Role:
        said = {"description": "", "permissions": ["write:sandboxes"], **more}
        request = role_pb.UpdateRoleRequest(
            organization_id=self.organization_id, role_id=role_id, name=name, **said
        )
        return (await self.house.roles.UpdateRole(request, metadata=self.metadata())).role

    async def delete_role(self, role_id: str, **more: Any) -> None:
        request = role_pb.DeleteRoleRequest(
            organization_id=self.organization_id, role_id=role_id, **more
        )
        await self.house.roles.DeleteRole(request, metadata=self.metadata())

    async def get_role(self, role_id: str) -> Role:
        request = role_pb.GetRoleRequest(organization_id=self.organization_id, role_id=role_id)
        return (await self.house.roles.GetRole(request, metadata=self.metadata())).role

    async def list_roles(self, size: int = 0, token: str = "") -> role_pb.ListRolesResponse:
        request = role_pb.ListRolesRequest(
            organization_id=self.organization_id, page_size=size, page_token=token
        )
        return await self.house.roles.ListRoles(request, metadata=self.metadata())

    async def set_access(
        self, user_id: str, role: str = "member", role_ids: Iterable[str] = (), **more: Any
    ) -> Member:
        request = member_pb.UpdateMemberAccessRequest(
            organization_id=self.organization_id,
            user_id=user_id,
            role=ROLES[role],
            role_ids=role_ids,
            **more,
        )
        answer = await self.house.members.UpdateMemberAccess(request, metadata=self.metadata())
        return answer.member

    async def remove(self, user_id: str, **more: Any) -> None:
        request = member_pb.RemoveMemberRequest(
            organization_id=self.organization_id, user_id=user_id, **more
        )
        await self.house.members.RemoveMember(request, metadata=self.metadata())

    async def get_member(self, user_id: str) -> Member:
        request = member_pb.GetMemberRequest(organization_id=self.organization_id, user_id=user_id)
        return (await self.house.members.GetMember(request, metadata=self.metadata())).member

    async def list_members(self, size: int = 0, token: str = "") -> member_pb.ListMembersResponse:
        request = member_pb.ListMembersRequest(
            organization_id=self.organization_id, page_size=size, page_token=token
        )
        return await self.house.members.ListMembers(request, metadata=self.metadata())

    async def make_account(
        self, name: str = "ci", role_ids: Iterable[str] = (), key: str = ""
    ) -> Member:
        request = member_pb.CreateServiceAccountRequest(
            organization_id=self.organization_id, name=name, role_ids=role_ids, request_id=key
        )
        answer = await self.house.members.CreateServiceAccount(request, metadata=self.metadata())
        return answer.member

    async def leave(self) -> None:
        await self.house.leave(self.user_id, self.organization_id)

    async def invite(
        self,
        email: str,
        role: str = "member",
        role_ids: Iterable[str] = (),
        until: datetime | None = None,
        key: str = "",
    ) -> Invitation:
        request = invitation_pb.CreateInvitationRequest(
            organization_id=self.organization_id,
            email=email,
            role=ROLES[role],
            role_ids=role_ids,
            expire_time=to_timestamp(until),
            request_id=key,
        )
        answer = await self.house.invitations.CreateInvitation(request, metadata=self.metadata())
        return answer.invitation

    async def change_invitation(
        self,
        id_: str,
        role: str = "member",
        role_ids: Iterable[str] = (),
        until: datetime | None = None,
        **more: Any,
    ) -> Invitation:
        request = invitation_pb.UpdateInvitationRequest(
            organization_id=self.organization_id,
            invitation_id=id_,
            role=ROLES[role],
            role_ids=role_ids,
            expire_time=to_timestamp(until),
            **more,
        )
        answer = await self.house.invitations.UpdateInvitation(request, metadata=self.metadata())
        return answer.invitation

    async def cancel(self, id_: str, **more: Any) -> None:
        request = invitation_pb.CancelInvitationRequest(
            organization_id=self.organization_id, invitation_id=id_, **more
        )
        await self.house.invitations.CancelInvitation(request, metadata=self.metadata())

    async def resend(self, id_: str) -> Invitation:
        request = invitation_pb.ResendInvitationRequest(
            organization_id=self.organization_id, invitation_id=id_
        )
        answer = await self.house.invitations.ResendInvitation(request, metadata=self.metadata())
        return answer.invitation

    async def list_invitations(
        self, size: int = 0, token: str = ""
    ) -> invitation_pb.ListInvitationsResponse:
        request = invitation_pb.ListInvitationsRequest(
            organization_id=self.organization_id, page_size=size, page_token=token
        )
        return await self.house.invitations.ListInvitations(request, metadata=self.metadata())

    async def own_invitations(self, **more: Any) -> list[Invitation]:
        me = self.house.as_user(self.user_id, **more)
        request = invitation_pb.ListOwnInvitationsRequest()
        answer = await self.house.invitations.ListOwnInvitations(request, metadata=me)
        count = await self.house.invitations.CountOwnInvitations(
            invitation_pb.CountOwnInvitationsRequest(), metadata=me
        )
        assert count.count == len(answer.invitations)
        return list(answer.invitations)

    async def accept(self, id_: str, **more: Any) -> Invitation:
        request = invitation_pb.AcceptInvitationRequest(invitation_id=id_)
        answer = await self.house.invitations.AcceptInvitation(
            request, metadata=self.house.as_user(self.user_id, **more)
        )
        return answer.invitation

    async def decline(self, id_: str, **more: Any) -> None:
        request = invitation_pb.DeclineInvitationRequest(invitation_id=id_)
        await self.house.invitations.DeclineInvitation(
            request, metadata=self.house.as_user(self.user_id, **more)
        )

    async def audited(self) -> list[tuple[str, str, str]]:
        """Return what was done in the organization, as the audit log will say it."""
        return [
            (p["action"], p["target_type"], p["target_id"])
            for type_, p in await self.house.events(self.organization_id)
            if type_ == "audited"
        ]

    async def concerned(self) -> list[str]:
        """Return whose membership was said to be changed or ended, in order."""
        return [
            p["user_id"]
            for type_, p in await self.house.events(self.organization_id)
            if type_ in ("membership_changed", "membership_ended")
        ]


async def an_owner(house: House) -> Actor:
    """Return a new person with a new collaborative organization."""
    user_id, _ = await house.person()
    return Actor(house, user_id, (await house.create(user_id)).id)


async def somebody(house: House) -> Actor:
    """Return a new person, at home."""
    user_id, organization_id = await house.person()
    return Actor(house, user_id, organization_id)


async def age(actor: Actor, invitation_id: str) -> None:
    """Let an invitation have expired an hour ago."""
    await actor.house.database.pool.execute(
        "UPDATE invitations SET expires_at = now() - interval '1 hour' WHERE id = $1",
        invitation_id,
    )
