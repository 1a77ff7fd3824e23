"""RoleService over gRPC."""

from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from chassis.pages import PageTokenInvalid, position_of
from ratoon.orgs.v1 import role_service_pb2 as pb
from ratoon.orgs.v1.role_service_pb2_grpc import RoleServiceServicer
from services.orgs.commands import role_creation, roles
from services.orgs.convert.roles import own_role_to_proto, role_to_proto
from services.orgs.domain import uuid_of
from services.orgs.queries import roles as queries
from services.orgs.servicer.once import once, plainly
from services.orgs.servicer.pages import cut

Context = ServicerContext[Any, Any]


class RoleServicer(RoleServiceServicer):
    def __init__(self, database: Database) -> None:
        self._sessions = database.sessions
        self._pool = database.pool

    async def CreateRole(
        self, request: pb.CreateRoleRequest, context: Context
    ) -> pb.CreateRoleResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)

        async def create(connection: Any) -> pb.CreateRoleResponse:
            row = await role_creation.create(
                connection,
                id_,
                me,
                name=request.name,
                description=request.description,
                permissions=request.permissions,
            )
            return pb.CreateRoleResponse(role=role_to_proto(row))

        if not request.request_id:
            return await create(self._pool)
        scope = f"CreateRole {me} {id_}"
        async with self._sessions.begin() as session:
            return await once(session, scope, request, pb.CreateRoleResponse, plainly(create))

    async def ListRoles(
        self, request: pb.ListRolesRequest, context: Context
    ) -> pb.ListRolesResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        position = position_of(request.page_token, str)
        after = None if position is None else uuid_of(position[0])
        if position is not None and after is None:
            raise PageTokenInvalid
        rows = await queries.page(self._pool, id_, me, after, request.page_size)
        page, next_ = cut([role_to_proto(r) for r in rows], request.page_size, lambda r: (r.id,))
        return pb.ListRolesResponse(roles=page, next_page_token=next_)

    async def GetRole(self, request: pb.GetRoleRequest, context: Context) -> pb.GetRoleResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        row = await queries.one(self._pool, id_, me, uuid_of(request.role_id))
        return pb.GetRoleResponse(role=role_to_proto(row))

    async def UpdateRole(
        self, request: pb.UpdateRoleRequest, context: Context
    ) -> pb.UpdateRoleResponse:
        async with self._sessions.begin() as session:
            role = await roles.update(
                session,
                uuid_of(request.organization_id),
                current_caller.get().user_id,
                uuid_of(request.role_id),
                name=request.name,
                description=request.description,
                permissions=request.permissions,
                condition=request,
            )
        return pb.UpdateRoleResponse(role=own_role_to_proto(role))

    async def DeleteRole(
        self, request: pb.DeleteRoleRequest, context: Context
    ) -> pb.DeleteRoleResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await roles.delete(session, id_, me, uuid_of(request.role_id), request)
        return pb.DeleteRoleResponse()
