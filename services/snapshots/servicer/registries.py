"""RegistryService over gRPC: unwrap, act in one transaction, wrap."""

import asyncio
import hmac
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from grpc.aio import ServicerContext
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import idempotency
from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from chassis.grpc.wire import to_timestamp
from chassis.sealing import KeyRing
from ratoon.snapshots.v1 import registry_service_pb2 as pb
from ratoon.snapshots.v1.registry_service_pb2_grpc import RegistryServiceServicer
from services.snapshots.commands import grants
from services.snapshots.commands import registries as commands
from services.snapshots.commands.sealed import password_of
from services.snapshots.convert.registries import registry_draft_from_proto, registry_to_proto
from services.snapshots.domain.grants import (
    PushLimitReached,
    PushRegistryUnavailable,
    granted,
    project_of,
    registry_id,
)
from services.snapshots.images.auth import Credentials
from services.snapshots.images.http import Http
from services.snapshots.images.login import log_in
from services.snapshots.peers import Organizations
from services.snapshots.queries import registries as queries
from services.snapshots.queries.grants import live
from services.snapshots.registries.tokens import PushAccess
from services.snapshots.servicer.turns import Turns

Context = ServicerContext[Any, Any]
_TESTS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class RegistryTools:
    """The keys that seal passwords, the way to registries, and the way into the own one, if there is one."""

    ring: KeyRing
    http: Http
    access: PushAccess | None


class RegistryServicer(RegistryServiceServicer):
    """Serves the registries of all organizations; the door has checked who calls and for which."""

    def __init__(
        self,
        database: Database,
        organizations: Organizations,
        tools: RegistryTools,
        fingerprint: bytes,
    ) -> None:
        """`fingerprint` is a secret by which passwords are compared that are not to be kept."""
        self._sessions, self._pool = database.sessions, database.pool
        self._organizations, self._access = organizations, tools.access
        self._ring, self._http = tools.ring, tools.http
        self._fingerprint = fingerprint
        self._tests = Turns(_TESTS_AT_ONCE)

    async def CreateRegistry(
        self, request: pb.CreateRegistryRequest, context: Context
    ) -> pb.CreateRegistryResponse:
        async with self._sessions.begin() as session:
            if request.request_id:
                return await self._create_once(session, request)
            return await self._create(session, request)

    async def ListRegistries(
        self, request: pb.ListRegistriesRequest, context: Context
    ) -> pb.ListRegistriesResponse:
        async with self._sessions.begin() as session:
            found = await queries.all_of(session, UUID(request.organization_id))
        return pb.ListRegistriesResponse(registries=map(registry_to_proto, found))

    async def GetRegistry(
        self, request: pb.GetRegistryRequest, context: Context
    ) -> pb.GetRegistryResponse:
        async with self._sessions.begin() as session:
            found = await queries.get(session, UUID(request.organization_id), request.registry_id)
        return pb.GetRegistryResponse(registry=registry_to_proto(found))

    async def UpdateRegistry(
        self, request: pb.UpdateRegistryRequest, context: Context
    ) -> pb.UpdateRegistryResponse:
        organization_id = UUID(request.organization_id)
        async with self._sessions.begin() as session:
            # What is not there is refused before what is asked of it.
            await queries.get(session, organization_id, request.registry_id)
            draft = registry_draft_from_proto(request)
            changed = await commands.change(
                session, self._ring, organization_id, request.registry_id, draft, request
            )
        return pb.UpdateRegistryResponse(registry=registry_to_proto(changed))

    async def DeleteRegistry(
        self, request: pb.DeleteRegistryRequest, context: Context
    ) -> pb.DeleteRegistryResponse:
        async with self._sessions.begin() as session:
            organization_id = UUID(request.organization_id)
            await commands.delete(session, organization_id, request.registry_id, request)
        return pb.DeleteRegistryResponse()

    async def SetDefaultRegistry(
        self, request: pb.SetDefaultRegistryRequest, context: Context
    ) -> pb.SetDefaultRegistryResponse:
        async with self._sessions.begin() as session:
            preferred = await commands.prefer(session, request.registry_id)
        return pb.SetDefaultRegistryResponse(registry=registry_to_proto(preferred))

    async def TestRegistry(
        self, request: pb.TestRegistryRequest, context: Context
    ) -> pb.TestRegistryResponse:
        async with self._sessions.begin() as session:
            found = await queries.get(session, UUID(request.organization_id), request.registry_id)
        password = password_of(self._ring, found)
        shown = Credentials(found.username, password) if found.username or password else None
        async with self._tests.of(request.organization_id):
            login = await log_in(self._http, found.host, shown)
        return pb.TestRegistryResponse(ok=login.ok, code=login.code, reason=login.reason)

    async def IssuePushAccess(
        self, request: pb.IssuePushAccessRequest, context: Context
    ) -> pb.IssuePushAccessResponse:
        access, organization_id = self._own(), UUID(request.organization_id)
        limits = await self._organizations.limits_of(request.organization_id)
        limits.check_not_suspended(time.time())
        if request.region_id.strip():
            limits.region(request.region_id.strip())
        await _check_room(access, organization_id)
        who = current_caller.get()
        async with self._sessions.begin() as session:
            grant = await grants.make_for(
                session, organization_id, access.host, who.user_id, who.api_key_id
            )
        return pb.IssuePushAccessResponse(
            username=str(grant.id),
            secret=grant.secret,
            registry_url=access.host,
            registry_id=registry_id(access.host),
            project=project_of(organization_id),
            expire_time=to_timestamp(grant.expires_at),
        )

    async def IssueRegistryToken(
        self, request: pb.IssueRegistryTokenRequest, context: Context
    ) -> pb.IssueRegistryTokenResponse:
        access = self._own()
        held = await live(self._pool, request.username, request.secret)
        allowed = granted(request.scopes, project_of(held.organization_id), held.actions)
        token, issued, seconds = access.signer.sign(request.username, allowed, held.expires_at)
        answer = pb.IssueRegistryTokenResponse(token=token, expires_in=seconds)
        answer.issue_time.seconds = issued
        return answer

    def _own(self) -> PushAccess:
        if self._access is None:
            raise PushRegistryUnavailable("this installation has no registry of its own to push to")
        return self._access

    async def _create(
        self, session: AsyncSession, request: pb.CreateRegistryRequest
    ) -> pb.CreateRegistryResponse:
        draft = registry_draft_from_proto(request)
        organization_id = UUID(request.organization_id)
        made = await commands.create(session, self._ring, organization_id, draft)
        return pb.CreateRegistryResponse(registry=registry_to_proto(made))

    async def _create_once(
        self, session: AsyncSession, request: pb.CreateRegistryRequest
    ) -> pb.CreateRegistryResponse:
        """Create under the client's key: the same request again gets the first answer."""
        caller, key = current_caller.get(), request.request_id
        who = caller.user_id or caller.api_key_id
        scope = f"CreateRegistry/{request.organization_id}/{who}"
        sent = self._without_password(request)
        before = await idempotency.replay(session, scope, key, sent)
        if before is not None:
            return pb.CreateRegistryResponse.FromString(before)
        answer = await self._create(session, request)
        await idempotency.record(session, scope, key, sent, answer.SerializeToString())
        return answer

    def _without_password(self, request: pb.CreateRegistryRequest) -> bytes:
        """Return what a request is told apart by: of a password that is kept nowhere, not even a digest may be."""
        told = pb.CreateRegistryRequest()
        told.CopyFrom(request)
        told.password = hmac.digest(self._fingerprint, request.password.encode(), "sha256").hex()
        return told.SerializeToString(deterministic=True)


async def _check_room(access: PushAccess, organization_id: UUID) -> None:
    """Refuse whoever has as much in the registry as may be there."""
    if access.pushed is None:
        return
    held = await asyncio.to_thread(access.pushed.size_of, project_of(organization_id))
    if held >= access.limit_bytes:
        message = (
            f"the organization has pushed {held} bytes, and {access.limit_bytes} may be in the registry at a time;"
            " what is old goes by itself"
        )
        raise PushLimitReached(message, limit=str(access.limit_bytes))
