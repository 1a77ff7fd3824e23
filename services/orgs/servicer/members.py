"""MemberService over gRPC."""

from typing import Any

from grpc.aio import ServicerContext
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from chassis.pages import position_of
from ratoon.orgs.v1 import member_pb2
from ratoon.orgs.v1 import member_service_pb2 as pb
from ratoon.orgs.v1.member_service_pb2_grpc import MemberServiceServicer
from services.orgs.commands import members
from services.orgs.convert.members import (
    member_role_from_proto,
    members_to_proto,
    membership_to_proto,
)
from services.orgs.convert.members import position_of as place_of
from services.orgs.domain import uuid_of
from services.orgs.queries import members as queries
from services.orgs.queries.pages import moment
from services.orgs.servicer.once import once
from services.orgs.servicer.pages import cut

Context = ServicerContext[Any, Any]


class MemberServicer(MemberServiceServicer):
    def __init__(self, database: Database) -> None:
        self._sessions = database.sessions
        self._pool = database.pool

    async def ListMembers(
        self, request: pb.ListMembersRequest, context: Context
    ) -> pb.ListMembersResponse:
        id_, size = request.organization_id, request.page_size
        position = position_of(request.page_token, int, str)
        after = (moment(position[0]), position[1]) if position else (None, None)
        me = current_caller.get().user_id
        rows = await queries.page(self._pool, uuid_of(id_), me, after, size)
        page, next_ = cut(members_to_proto(id_, rows), size, place_of)
        return pb.ListMembersResponse(members=page, next_page_token=next_)

    async def GetMember(
        self, request: pb.GetMemberRequest, context: Context
    ) -> pb.GetMemberResponse:
        me, id_ = current_caller.get().user_id, request.organization_id
        rows = await queries.one(self._pool, uuid_of(id_), me, request.user_id)
        return pb.GetMemberResponse(member=members_to_proto(id_, rows)[0])

    async def UpdateMemberAccess(
        self, request: pb.UpdateMemberAccessRequest, context: Context
    ) -> pb.UpdateMemberAccessResponse:
        async with self._sessions.begin() as session:
            await members.update_access(
                session,
                uuid_of(request.organization_id),
                current_caller.get().user_id,
                request.user_id,
                role=member_role_from_proto(request.role),
                role_ids=request.role_ids,
                condition=request,
            )
            member = await _member(session, request.organization_id, request.user_id)
        return pb.UpdateMemberAccessResponse(member=member)

    async def RemoveMember(
        self, request: pb.RemoveMemberRequest, context: Context
    ) -> pb.RemoveMemberResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await members.remove(session, id_, me, request.user_id, request)
        return pb.RemoveMemberResponse()

    async def CreateServiceAccount(
        self, request: pb.CreateServiceAccountRequest, context: Context
    ) -> pb.CreateServiceAccountResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)

        async def create(session: AsyncSession) -> pb.CreateServiceAccountResponse:
            user_id = await members.create_account(
                session, id_, me, name=request.name, role_ids=request.role_ids
            )
            member = await _member(session, request.organization_id, user_id)
            return pb.CreateServiceAccountResponse(member=member)

        scope = f"CreateServiceAccount {me} {id_}"
        async with self._sessions.begin() as session:
            return await once(session, scope, request, pb.CreateServiceAccountResponse, create)

    async def ResolveMembership(
        self, request: pb.ResolveMembershipRequest, context: Context
    ) -> pb.ResolveMembershipResponse:
        row = await queries.resolve(self._pool, request.user_id, request.organization_id)
        return membership_to_proto(row)


async def _member(session: AsyncSession, organization_id: str, user_id: str) -> member_pb2.Member:
    """Return a member as a change has left it."""
    id_ = uuid_of(organization_id)
    assert id_ is not None
    return members_to_proto(organization_id, await queries.rows_of(session, id_, user_id))[0]
