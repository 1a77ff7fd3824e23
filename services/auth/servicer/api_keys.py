"""ApiKeyService over gRPC."""

from datetime import UTC, datetime
from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Database
from chassis.grpc.caller import METADATA_KEY, Caller, Verifier
from chassis.grpc.interceptors import current_caller
from chassis.revisions import check_revision
from chassis.secrets import fresh
from ratoon.auth.v1 import api_key_service_pb2 as pb
from ratoon.auth.v1.api_key_service_pb2_grpc import ApiKeyServiceServicer
from services.auth.commands import key_changes, revocation
from services.auth.commands.key_changes import Change
from services.auth.convert import api_key_to_proto, expiry_from_proto, giver_of
from services.auth.domain.api_keys import (
    ApiKeyNotFound,
    NotKeyHolder,
    fit_expiry,
    fit_overlap,
    fit_unused_days,
)
from services.auth.domain.grants import check_rotation, fit_permissions
from services.auth.domain.people import SERVICE_ACCOUNT_PREFIX
from services.auth.queries import api_keys as queries
from services.auth.servicer.creation import Creation

Context = ServicerContext[Any, Any]


class ApiKeyServicer(ApiKeyServiceServicer):
    def __init__(self, database: Database, verifier: Verifier, creation: Creation) -> None:
        self._database = database
        self._verifier = verifier
        self._creation = creation

    async def CreateApiKey(
        self, request: pb.CreateApiKeyRequest, context: Context
    ) -> pb.CreateApiKeyResponse:
        key, secret = await self._creation.make(request, current_caller.get(), _token(context))
        return pb.CreateApiKeyResponse(api_key=api_key_to_proto(key), secret=secret)

    async def ListApiKeys(
        self, request: pb.ListApiKeysRequest, context: Context
    ) -> pb.ListApiKeysResponse:
        caller, holder = current_caller.get(), request.user_id
        if caller.organization_role != "owner":
            holder = holder or caller.user_id
            _check_holder(caller, holder)
        keys, token = await queries.page(
            self._database.pool,
            request.organization_id,
            holder,
            unused_days=fit_unused_days(request.unused_days),
            size=request.page_size,
            token=request.page_token,
        )
        if not keys and holder.startswith(SERVICE_ACCOUNT_PREFIX):
            await self._creation.check_account(request.organization_id, holder)
        listed = [api_key_to_proto(k) for k in keys]
        return pb.ListApiKeysResponse(api_keys=listed, next_page_token=token)

    async def GetApiKey(
        self, request: pb.GetApiKeyRequest, context: Context
    ) -> pb.GetApiKeyResponse:
        user_id = current_caller.get().user_id
        pool, organization_id = self._database.pool, request.organization_id
        key = await queries.named(pool, organization_id, user_id, request.name)
        if key is None:
            raise _not_found(request.name)
        return pb.GetApiKeyResponse(api_key=api_key_to_proto(key))

    async def UpdateApiKey(
        self, request: pb.UpdateApiKeyRequest, context: Context
    ) -> pb.UpdateApiKeyResponse:
        caller = current_caller.get()
        holder = request.user_id or caller.user_id
        _check_holder(caller, holder)
        async with self._database.sessions.begin() as session:
            row = await key_changes.held(session, request.organization_id, holder, request.name)
            check_revision(row.revision, request)
            change = _change(request, caller, frozenset(row.permissions))
            key = await key_changes.update(session, row, change)
            # Whoever lost what the change stands on while it waited, changes nothing.
            self._verifier.verify(_token(context))
        return pb.UpdateApiKeyResponse(api_key=api_key_to_proto(key))

    async def RotateApiKey(
        self, request: pb.RotateApiKeyRequest, context: Context
    ) -> pb.RotateApiKeyResponse:
        caller = current_caller.get()
        overlap = fit_overlap(request.overlap_seconds)
        holder = request.user_id or caller.user_id
        _check_holder(caller, holder)
        async with self._database.sessions.begin() as session:
            row = await key_changes.held(session, request.organization_id, holder, request.name)
            if holder != caller.user_id and not await key_changes.is_service_account(
                session, holder
            ):
                raise NotKeyHolder("nobody gets the secret of another person's key")
            check_revision(row.revision, request)
            check_rotation(row.permissions, str(row.id), giver_of(caller))
            secret = fresh()
            key = await key_changes.rotate(session, row, secret, overlap)
            self._verifier.verify(_token(context))
        return pb.RotateApiKeyResponse(api_key=api_key_to_proto(key), secret=secret)

    async def DeleteApiKey(
        self, request: pb.DeleteApiKeyRequest, context: Context
    ) -> pb.DeleteApiKeyResponse:
        caller = current_caller.get()
        holder = request.user_id or caller.user_id
        _check_holder(caller, holder)
        async with self._database.sessions.begin() as session:
            organization_id = request.organization_id
            if not await revocation.delete_named(session, organization_id, holder, request.name):
                raise _not_found(request.name)
        return pb.DeleteApiKeyResponse()


def _check_holder(caller: Caller, holder: str) -> None:
    if holder != caller.user_id and caller.organization_role != "owner":
        raise NotKeyHolder("only an owner may look after keys of others")


def _change(request: pb.UpdateApiKeyRequest, caller: Caller, had: frozenset[str]) -> Change:
    permissions: tuple[str, ...] | None = None
    expiry: tuple[datetime | None] | None = None
    if request.HasField("permissions"):
        asked = request.permissions.permissions
        permissions = fit_permissions(asked, giver_of(caller), had)
    if request.clear_expire_time:
        expiry = (None,)
    elif request.HasField("expire_time"):
        expiry = (fit_expiry(expiry_from_proto(request.expire_time), datetime.now(UTC)),)
    return Change(permissions, expiry)


def _token(context: Context) -> str:
    return str(dict(context.invocation_metadata() or ())[METADATA_KEY])


def _not_found(name: str) -> ApiKeyNotFound:
    return ApiKeyNotFound("there is no such key", name=ascii(name[:255]))
