"""UserService over gRPC."""

import secrets as random
from typing import Any
from uuid import uuid4

from grpc.aio import ServicerContext

from chassis import secrets
from chassis.grpc.interceptors import current_caller
from chassis.permissions import ALL
from ratoon.auth.v1 import user_service_pb2 as pb
from services.auth.commands import api_keys, people
from services.auth.convert import api_key_to_proto, person_to_proto
from services.auth.domain.api_keys import Draft, fit_name
from services.auth.domain.display import tidy
from services.auth.domain.people import (
    ADMIN_ID,
    EmailTaken,
    Person,
    SystemRole,
    UserNotFound,
    fit_email,
)
from services.auth.queries import people as queries
from services.auth.servicer.administration import Administration

Context = ServicerContext[Any, Any]
_ADMIN_NAME, _ADMIN_KEY, _FIRST_KEY = "Administrator", "admin", "first"


class UserServicer(Administration):
    """The rest of UserService: everybody's own user, and what the operator of the installation does."""

    async def GetCurrentUser(
        self, request: pb.GetCurrentUserRequest, context: Context
    ) -> pb.GetCurrentUserResponse:
        person = await queries.get(self._database.pool, current_caller.get().user_id)
        if person is None:
            raise UserNotFound("the user is gone")
        return pb.GetCurrentUserResponse(user=person_to_proto(person))

    async def AddUser(self, request: pb.AddUserRequest, context: Context) -> pb.AddUserResponse:
        email = fit_email(request.email)
        role = SystemRole.ADMIN if request.system_admin else SystemRole.USER
        name = tidy(request.name) or email.partition("@")[0]
        await self._add(id_=str(uuid4()), name=name, email=email, role=role)
        person = await self._local(email)
        secret = await self._finish(person, _FIRST_KEY)
        return pb.AddUserResponse(user=person_to_proto(person), created=bool(secret), secret=secret)

    async def EnsureAdmin(
        self, request: pb.EnsureAdminRequest, context: Context
    ) -> pb.EnsureAdminResponse:
        email = fit_email(request.email)
        await self._add(id_=ADMIN_ID, name=_ADMIN_NAME, email=email, role=SystemRole.ADMIN)
        person = await queries.get(self._database.pool, ADMIN_ID)
        if person is None:
            raise EmailTaken("another user has this address", email=email)
        secret = await self._finish(person, _ADMIN_KEY)
        return pb.EnsureAdminResponse(user=person_to_proto(person), secret=secret)

    async def IssueAccountKey(
        self, request: pb.IssueAccountKeyRequest, context: Context
    ) -> pb.IssueAccountKeyResponse:
        person = await self._named(request.email)
        name = fit_name(request.name or f"key-{random.token_hex(4)}")
        if not person.settled:
            await self._organizations.ensure_personal(person)
        async with self._database.sessions.begin() as session:
            await people.settle(session, person)
            secret = secrets.fresh()
            key = await api_keys.add(session, _account_key(person, name), secret)
        return pb.IssueAccountKeyResponse(api_key=api_key_to_proto(key), secret=secret)

    async def _add(self, *, id_: str, name: str, email: str, role: SystemRole) -> None:
        async with self._database.sessions.begin() as session:
            await people.add_local(session, id_=id_, name=name, email=email, role=role)

    async def _finish(self, person: Person, key_name: str) -> str:
        """Return the secret of the person's first key, or nothing if an earlier call came so far.

        Whoever settles the person makes the key, in one transaction: of calls that meet, one gets a secret; a call
        that died before it is finished by the next.
        """
        if person.settled:
            return ""
        await self._organizations.ensure_personal(person)
        async with self._database.sessions.begin() as session:
            if not await people.settle(session, person):
                return ""
            secret = secrets.fresh()
            await api_keys.add(session, _account_key(person, key_name), secret)
        return secret

    async def _named(self, email: str) -> Person:
        if email:
            return await self._local(email)
        person = await queries.get(self._database.pool, ADMIN_ID)
        if person is None:
            raise UserNotFound("there is no administrator yet")
        return person

    async def _local(self, email: str) -> Person:
        person = await queries.local(self._database.pool, email)
        if person is None:
            raise UserNotFound("no user was made here with this address")
        return person


def _account_key(person: Person, name: str) -> Draft:
    return Draft(
        organization_id=None,
        user_id=person.id,
        name=name,
        permissions=tuple(sorted(ALL)),
        system_admin=person.system_admin,
    )
