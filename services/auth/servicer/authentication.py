"""AuthenticationService over gRPC."""

import time
from collections.abc import AsyncIterator
from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Pool
from chassis.grpc.caller import Identity
from ratoon.auth.v1 import authentication_service_pb2 as pb
from ratoon.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceServicer
from services.auth.commands import api_keys
from services.auth.convert import (
    api_key_to_proto,
    caller_to_proto,
    rate_limits_to_proto,
    unix,
    uses_from_proto,
)
from services.auth.domain.access import Hints
from services.auth.servicer.credentials import Credentials
from services.auth.servicer.revocations import Revocations

Context = ServicerContext[Any, Any]


class AuthenticationServicer(AuthenticationServiceServicer):
    def __init__(
        self, credentials: Credentials, identity: Identity, revocations: Revocations, pool: Pool
    ) -> None:
        self._credentials = credentials
        self._identity = identity
        self._revocations = revocations
        self._pool = pool

    async def Authenticate(
        self, request: pb.AuthenticateRequest, context: Context
    ) -> pb.AuthenticateResponse:
        # Before the first read: what is revoked while we read is newer than the token, and revokes it.
        issued = time.time()
        hints = Hints(request.path_organization_id, request.header_organization_id)
        found = await self._credentials.establish(request.credential, hints)
        token, expires = self._identity.sign(found.caller, issued, found.until)
        return pb.AuthenticateResponse(
            caller=caller_to_proto(found.caller),
            token=token,
            expire_time=unix(expires),
            api_key=api_key_to_proto(found.key) if found.key else None,
            rate_limits=rate_limits_to_proto(found.rate_limits) if found.rate_limits else None,
        )

    async def WatchRevocations(
        self, request: pb.WatchRevocationsRequest, context: Context
    ) -> AsyncIterator[pb.WatchRevocationsResponse]:
        async for revocations in self._revocations.watch():
            yield pb.WatchRevocationsResponse(revocations=revocations)

    async def ReportApiKeyUse(
        self, request: pb.ReportApiKeyUseRequest, context: Context
    ) -> pb.ReportApiKeyUseResponse:
        await api_keys.report_use(self._pool, uses_from_proto(request.uses))
        return pb.ReportApiKeyUseResponse()
