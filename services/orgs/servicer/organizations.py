"""OrganizationService over gRPC."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from grpc.aio import ServicerContext
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import idempotency
from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from chassis.pages import PageTokenInvalid, position_of, token_of
from chassis.sealing import KeyRing
from ratoon.orgs.v1 import organization_service_pb2 as pb
from services.orgs.commands import members, organizations
from services.orgs.convert.organizations import organization_to_proto
from services.orgs.domain import Defaults, Person, uuid_of
from services.orgs.queries import organizations as queries
from services.orgs.servicer.quotas import QuotaServicer
from services.orgs.servicer.settings import SettingsServicer
from services.orgs.servicer.suspensions import SuspensionServicer

Context = ServicerContext[Any, Any]
# The end of the year 9999 in microseconds.
_LAST_MOMENT = 253_402_300_800_000_000


class OrganizationServicer(SettingsServicer, QuotaServicer, SuspensionServicer):
    def __init__(self, database: Database, defaults: Defaults, ring: KeyRing) -> None:
        self._sessions, self._pool = database.sessions, database.pool
        self._defaults, self._ring = defaults, ring

    async def CreateOrganization(
        self, request: pb.CreateOrganizationRequest, context: Context
    ) -> pb.CreateOrganizationResponse:
        caller = current_caller.get()

        async def create(session: AsyncSession) -> bytes:
            id_ = await organizations.create(
                session,
                caller.user_id,
                name=request.name,
                region_id=request.default_region_id,
                email_verified=caller.email_verified,
                defaults=self._defaults,
            )
            return await _made(session, id_)

        return pb.CreateOrganizationResponse.FromString(
            await self._once("CreateOrganization", request, create)
        )

    async def CreateOrganizationForUser(
        self, request: pb.CreateOrganizationForUserRequest, context: Context
    ) -> pb.CreateOrganizationForUserResponse:
        async def create(session: AsyncSession) -> bytes:
            id_ = await organizations.create_for(
                session,
                request.user_id,
                name=request.name,
                region_id=request.default_region_id,
                defaults=self._defaults,
            )
            return await _made(session, id_)

        return pb.CreateOrganizationForUserResponse.FromString(
            await self._once("CreateOrganizationForUser", request, create)
        )

    async def _once(
        self,
        operation: str,
        request: pb.CreateOrganizationRequest | pb.CreateOrganizationForUserRequest,
        create: Callable[[AsyncSession], Awaitable[bytes]],
    ) -> bytes:
        """Create under the client's key, if there is one: the same request again gets the first answer."""
        key, scope = request.request_id, f"{operation} {current_caller.get().user_id}"
        async with self._sessions.begin() as session:
            if not key:
                return await create(session)
            body = request.SerializeToString(deterministic=True)
            before = await idempotency.replay(session, scope, key, body)
            if before is not None:
                return before
            answer = await create(session)
            await idempotency.record(session, scope, key, body, answer)
        return answer

    async def ListOrganizations(
        self, request: pb.ListOrganizationsRequest, context: Context
    ) -> pb.ListOrganizationsResponse:
        caller, most = current_caller.get(), request.page_size
        after = _position(request.page_token)
        if caller.credential == "api_key" and not caller.account_key:
            id_ = uuid_of(caller.organization_id)
            rows = [await queries.one_of_user(self._pool, caller.user_id, id_)]
        else:
            rows = await queries.of_user(
                self._pool, caller.user_id, most=most + 1 if most > 0 else None, after=after
            )
        page = rows[:most] if most > 0 else rows
        more = len(page) < len(rows)
        return pb.ListOrganizationsResponse(
            organizations=[organization_to_proto(r) for r in page],
            next_page_token=token_of(page[-1][1], page[-1][0]) if more else "",
        )

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
            await organizations.set_default_region(session, id_, user_id, request, self._defaults)
        return pb.SetDefaultRegionResponse()

    async def DeleteOrganization(
        self, request: pb.DeleteOrganizationRequest, context: Context
    ) -> pb.DeleteOrganizationResponse:
        user_id, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            await organizations.delete(session, id_, user_id, request)
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


async def _made(session: AsyncSession, id_: UUID) -> bytes:
    """Return the answer to either creation, which are alike to the byte."""
    made = organization_to_proto(await queries.row_of(session, id_))
    return pb.CreateOrganizationResponse(organization=made).SerializeToString()


def _position(token: str) -> tuple[int, UUID] | None:
    """Return moment and id of the organization at which a page ended."""
    position = position_of(token, int, str)
    if position is None:
        return None
    moment, id_ = position
    found = uuid_of(id_)
    if found is None or not 0 <= moment < _LAST_MOMENT:
        raise PageTokenInvalid
    return moment, found
