"""What administrators of the installation do with people, over gRPC."""

from typing import Any

from grpc.aio import ServicerContext
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import idempotency
from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from ratoon.auth.v1 import user_service_pb2 as pb
from ratoon.auth.v1.user_service_pb2_grpc import UserServiceServicer
from services.auth.commands import key_pairs, people, users
from services.auth.convert import person_to_proto
from services.auth.domain.people import Person, UserNotFound
from services.auth.domain.users import Draft, drafted
from services.auth.peers import Organizations
from services.auth.queries import people as queries

Context = ServicerContext[Any, Any]


class Administration(UserServiceServicer):
    """The part of UserService that needs power over the installation."""

    def __init__(self, database: Database, organizations: Organizations) -> None:
        self._database = database
        self._organizations = organizations

    async def CreateUser(
        self, request: pb.CreateUserRequest, context: Context
    ) -> pb.CreateUserResponse:
        draft = drafted(
            request.id,
            request.name,
            request.email,
            email_verified=request.email_verified,
            system_admin=request.system_admin,
        )
        async with self._database.sessions.begin() as session:
            person = await self._made(session, request, draft)
        organization_id = await self._organizations.ensure_personal(
            person, request.default_region_id
        )
        async with self._database.sessions.begin() as session:
            await people.settle(session, person)
        return pb.CreateUserResponse(user=person_to_proto(person), organization_id=organization_id)

    async def _made(
        self, session: AsyncSession, request: pb.CreateUserRequest, draft: Draft
    ) -> Person:
        """Make the person; under the client's key it is the one that the same request made before."""
        if not request.request_id:
            return await users.create(session, draft)
        caller, key = current_caller.get(), request.request_id
        scope, sent = f"CreateUser/{caller.user_id or caller.api_key_id}", _fingerprint(request)
        before = await idempotency.replay(session, scope, key, sent)
        if before is not None:
            return await self._known(before.decode())
        person = await users.create(session, draft)
        await idempotency.record(session, scope, key, sent, person.id.encode())
        return person

    async def _known(self, user_id: str) -> Person:
        person = await queries.get(self._database.pool, user_id)
        if person is None or person.service_account:
            raise UserNotFound("there is no such user")
        return person

    async def ListUsers(
        self, request: pb.ListUsersRequest, context: Context
    ) -> pb.ListUsersResponse:
        size, token = request.page_size, request.page_token
        found, token = await queries.page(self._database.pool, size, token)
        return pb.ListUsersResponse(
            users=[person_to_proto(p) for p in found], next_page_token=token
        )

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:
        return pb.GetUserResponse(user=person_to_proto(await self._known(request.user_id)))

    async def SetUserDisabled(
        self, request: pb.SetUserDisabledRequest, context: Context
    ) -> pb.SetUserDisabledResponse:
        async with self._database.sessions.begin() as session:
            person = await users.set_disabled(
                session, request.user_id, request.email, disabled=request.disabled
            )
        return pb.SetUserDisabledResponse(user=person_to_proto(person))

    async def RegenerateKeyPair(
        self, request: pb.RegenerateKeyPairRequest, context: Context
    ) -> pb.RegenerateKeyPairResponse:
        private, public = key_pairs.fresh()
        async with self._database.sessions.begin() as session:
            person = await users.set_public_key(session, request.user_id, public)
        return pb.RegenerateKeyPairResponse(user=person_to_proto(person), private_key=private)


def _fingerprint(request: pb.CreateUserRequest) -> bytes:
    return request.SerializeToString(deterministic=True)
