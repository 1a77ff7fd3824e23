"""ApiKeyService over gRPC."""

from datetime import UTC, datetime
from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Database
from chassis.grpc.caller import METADATA_KEY, Caller, CallerInvalid, Verifier
from chassis.grpc.interceptors import current_caller
from chassis.secrets import Repeatable
from ratoon.auth.v1 import api_key_service_pb2 as pb
from ratoon.auth.v1.api_key_service_pb2_grpc import ApiKeyServiceServicer
from services.auth import queries
from services.auth.commands import api_keys, revocation
from services.auth.convert import api_key_to_proto, expiry_from_proto
from services.auth.domain.api_keys import (
    ApiKey,
    ApiKeyNotFound,
    Draft,
    NotKeyHolder,
    fit_expiry,
    fit_name,
    fit_permissions,
)

Context = ServicerContext[Any, Any]


class ApiKeyServicer(ApiKeyServiceServicer):
    def __init__(self, database: Database, verifier: Verifier, repeatable: Repeatable) -> None:
        self._database = database
        self._verifier = verifier
        self._repeatable = repeatable

    async def CreateApiKey(
        self, request: pb.CreateApiKeyRequest, context: Context
    ) -> pb.CreateApiKeyResponse:
        caller = current_caller.get()
        if request.request_id:
            key, secret = await self._create_once(request, caller)
        else:
            key, secret = await api_keys.create(self._database.pool, _draft(request, caller))
        await self._still_valid(context, key)
        return pb.CreateApiKeyResponse(api_key=api_key_to_proto(key), secret=secret)

    async def ListApiKeys(
        self, request: pb.ListApiKeysRequest, context: Context
    ) -> pb.ListApiKeysResponse:
        caller = current_caller.get()
        holder = None if caller.organization_role == "owner" else caller.user_id
        keys = await queries.keys(self._database.pool, request.organization_id, holder)
        return pb.ListApiKeysResponse(api_keys=[api_key_to_proto(k) for k in keys])

    async def GetApiKey(
        self, request: pb.GetApiKeyRequest, context: Context
    ) -> pb.GetApiKeyResponse:
        user_id = current_caller.get().user_id
        pool, organization_id = self._database.pool, request.organization_id
        key = await queries.key_named(pool, organization_id, user_id, request.name)
        if key is None:
            raise _not_found(request.name)
        return pb.GetApiKeyResponse(api_key=api_key_to_proto(key))

    async def DeleteApiKey(
        self, request: pb.DeleteApiKeyRequest, context: Context
    ) -> pb.DeleteApiKeyResponse:
        caller = current_caller.get()
        holder = request.user_id or caller.user_id
        if holder != caller.user_id and caller.organization_role != "owner":
            raise NotKeyHolder("only an owner may delete keys of others")
        async with self._database.sessions.begin() as session:
            organization_id = request.organization_id
            if not await revocation.delete_named(session, organization_id, holder, request.name):
                raise _not_found(request.name)
        return pb.DeleteApiKeyResponse()

    async def _create_once(
        self, request: pb.CreateApiKeyRequest, caller: Caller
    ) -> tuple[ApiKey, str]:
        scope = f"CreateApiKey\n{caller.user_id}\n{request.organization_id}"
        same = request.SerializeToString(deterministic=True)
        which = (scope, request.request_id, same)
        async with self._database.sessions.begin() as session:
            before = await api_keys.repeated(session, self._repeatable, *which)
            if before is not None:
                return before
            draft = _draft(request, caller)
            return await api_keys.create_repeatable(session, self._repeatable, draft, *which)

    async def _still_valid(self, context: Context, key: ApiKey) -> None:
        """Take the key back if its maker lost the membership while it was made: nobody else would delete it."""
        token = dict(context.invocation_metadata() or ())[METADATA_KEY]
        try:
            self._verifier.verify(str(token))
        except CallerInvalid:
            async with self._database.sessions.begin() as session:
                await revocation.delete_by_id(session, key.id)
            raise


def _draft(request: pb.CreateApiKeyRequest, caller: Caller) -> Draft:
    expires_at = None
    if request.HasField("expire_time"):
        expires_at = fit_expiry(expiry_from_proto(request.expire_time), datetime.now(UTC))
    return Draft(
        organization_id=request.organization_id,
        user_id=caller.user_id,
        name=fit_name(request.name),
        permissions=fit_permissions(request.permissions, caller.permissions),
        expires_at=expires_at,
    )


def _not_found(name: str) -> ApiKeyNotFound:
    return ApiKeyNotFound("there is no such key", name=ascii(name[:255]))
