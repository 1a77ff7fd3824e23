"""MemberService over gRPC."""

from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from ratoon.orgs.v1 import member_service_pb2 as pb
from ratoon.orgs.v1.member_service_pb2_grpc import MemberServiceServicer
from services.orgs.convert.members import members_to_proto, membership_to_proto
from services.orgs.domain import OrganizationForbidden, uuid_of
from services.orgs.queries import members as queries

Context = ServicerContext[Any, Any]


class MemberServicer(MemberServiceServicer):
    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def ListMembers(
        self, request: pb.ListMembersRequest, context: Context
    ) -> pb.ListMembersResponse:
        id_ = request.organization_id
        rows = await queries.of_organization(self._pool, uuid_of(id_))
        members = members_to_proto(id_, rows)
        me = current_caller.get().user_id
        # Whoever left a moment ago may still hold a token that says otherwise.
        if not any(m.user_id == me for m in members):
            raise OrganizationForbidden
        return pb.ListMembersResponse(members=members)

    async def ResolveMembership(
        self, request: pb.ResolveMembershipRequest, context: Context
    ) -> pb.ResolveMembershipResponse:
        row = await queries.resolve(self._pool, request.user_id, request.organization_id)
        return membership_to_proto(row)
