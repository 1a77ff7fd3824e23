"""OrganizationService over gRPC."""

from typing import Any

from grpc.aio import ServicerContext
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import idempotency
from chassis.db import Database
from chassis.grpc.caller import Caller
from chassis.grpc.interceptors import current_caller
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceServicer
from services.orgs.commands import members, organizations
from services.orgs.convert.organizations import limits_to_proto, organization_to_proto
from services.orgs.domain import Defaults, Person, uuid_of
from services.orgs.queries import organizations as queries
from services.orgs.queries import regions as region_queries

Context = ServicerContext[Any, Any]


class OrganizationServicer(OrganizationServiceServicer):
    def __init__(self, database: Database, defaults: Defaults) -> None:
        self._sessions = database.sessions
        self._pool = database.pool
        self._defaults = defaults

    async def CreateOrganization(
        self, request: pb.CreateOrganizationRequest, context: Context
    ) -> pb.CreateOrganizationResponse:
        caller, key = current_caller.get(), request.request_id
        async with self._sessions.begin() as session:
            if not key:
                return await self._create(session, caller, request)
            scope, body = f"CreateOrganization {caller.user_id}", request.SerializeToString()
            before = await idempotency.replay(session, scope, key, body)
            if before is not None:
                return pb.CreateOrganizationResponse.FromString(before)
            answer = await self._create(session, caller, request)
            await idempotency.record(session, scope, key, body, answer.SerializeToString())
        return answer

    async def _create(
        self, session: AsyncSession, caller: Caller, request: pb.CreateOrganizationRequest
    ) -> pb.CreateOrganizationResponse:
        id_ = await organizations.create(
            session,
            caller.user_id,
            name=request.name,
            region_id=request.default_region_id,
            email_verified=caller.email_verified,
            defaults=self._defaults,
        )
        made = await queries.row_of(session, id_)
        return pb.CreateOrganizationResponse(organization=organization_to_proto(made))

    async def ListOrganizations(
        self, request: pb.ListOrganizationsRequest, context: Context
    ) -> pb.ListOrganizationsResponse:
        caller = current_caller.get()
        if caller.credential == "api_key" and not caller.account_key:
            id_ = uuid_of(caller.organization_id)
            rows = [await queries.one_of_user(self._pool, caller.user_id, id_)]
        else:
            rows = await queries.of_user(self._pool, caller.user_id)
        return pb.ListOrganizationsResponse(organizations=[organization_to_proto(r) for r in rows])

    async def GetOrganization(
        self, request: pb.GetOrganizationRequest, context: Context
    ) -> pb.GetOrganizationResponse:
        user_id, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        row = await queries.one_of_user(self._pool, user_id, id_)
        return pb.GetOrganizationResponse(organization=organization_to_proto(row))

    async def SetDefaultRegion(
        self, request: pb.SetDefaultRegionRequest, context: Context
    ) -> pb.SetDefaultRegionResponse:
        user_id, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await organizations.set_default_region(
                session, id_, user_id, request.region_id, self._defaults
            )
        return pb.SetDefaultRegionResponse()

    async def DeleteOrganization(
        self, request: pb.DeleteOrganizationRequest, context: Context
    ) -> pb.DeleteOrganizationResponse:
        user_id, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await organizations.delete(session, id_, user_id)
        return pb.DeleteOrganizationResponse()

    async def LeaveOrganization(
        self, request: pb.LeaveOrganizationRequest, context: Context
    ) -> pb.LeaveOrganizationResponse:
        user_id, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await members.leave(session, id_, user_id)
        return pb.LeaveOrganizationResponse()

    async def EnsurePersonalOrganization(
        self, request: pb.EnsurePersonalOrganizationRequest, context: Context
    ) -> pb.EnsurePersonalOrganizationResponse:
        person = Person(request.user_id, request.name, request.email, request.email_verified)
        async with self._sessions.begin() as session:
            id_ = await organizations.ensure_personal(
                session, person, self._defaults, request.default_region_id
            )
        return pb.EnsurePersonalOrganizationResponse(organization_id=str(id_))

    async def GetLimits(
        self, request: pb.GetLimitsRequest, context: Context
    ) -> pb.GetLimitsResponse:
        id_ = uuid_of(request.organization_id)
        row = await queries.limits(self._pool, id_)
        return limits_to_proto(row, await region_queries.limits(self._pool, id_))
