"""auth, made up."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.grpc.access import CredentialMissing, OrganizationForbidden
from chassis.grpc.caller import Caller
from ratoon.access.v1 import access_pb2
from ratoon.auth.v1 import (
    api_key_pb2,
    authentication_pb2,
    authentication_service_pb2,
    authentication_service_pb2_grpc,
)
from tests.gateway_fakes.calls import (
    ACCOUNT,
    ADMIN,
    ADMIN_PROBE,
    ALL,
    COLLECTOR,
    KEY,
    ORG,
    OTHER,
    OWNER,
    READER,
    STAMP,
    USER,
    VIEWER,
    Calls,
)
from tests.identities import Keyring

_KINDS = {
    "api_key": access_pb2.CREDENTIAL_KIND_API_KEY,
    "oidc": access_pb2.CREDENTIAL_KIND_OIDC,
    "service": access_pb2.CREDENTIAL_KIND_SERVICE,
}
_ROLES = {
    "": access_pb2.ORGANIZATION_ROLE_UNSPECIFIED,
    "member": access_pb2.ORGANIZATION_ROLE_MEMBER,
    "owner": access_pb2.ORGANIZATION_ROLE_OWNER,
}
_SYSTEM_ROLES = {
    False: access_pb2.SYSTEM_ROLE_UNSPECIFIED,
    True: access_pb2.SYSTEM_ROLE_ADMIN,
}


@dataclass
class Known:
    """One credential, as the fake auth knows it: its caller, and the organizations it may choose."""

    caller: Caller
    organizations: dict[str, str] = field(default_factory=dict)


def people() -> dict[str, Known]:
    def key(number: int, *permissions: str, **more: Any) -> Caller:
        return Caller(
            credential="api_key",
            user_id=USER,
            organization_id=ORG,
            organization_role="owner",
            permissions=frozenset(permissions),
            api_key_prefix="dtn",
            api_key_suffix="abc",
            api_key_id=str(UUID(int=100 + number, version=4)),
            **more,
        )

    both = {ORG: "owner", OTHER: "owner"}
    return {
        OWNER: Known(Caller(credential="oidc", user_id=USER, permissions=frozenset(ALL)), both),
        VIEWER: Known(Caller(credential="oidc", user_id="vera"), {ORG: "member"}),
        KEY: Known(key(1, *ALL)),
        READER: Known(key(2)),
        ACCOUNT: Known(
            key(3, *ALL, "manage:organization", "read:audit_logs", account_key=True), both
        ),
        ADMIN: Known(key(4, *ALL, account_key=True, system_admin=True), both),
        ADMIN_PROBE: Known(Caller(credential="service", service="health-check")),
        COLLECTOR: Known(Caller(credential="service", service="otel-collector")),
    }


class FakeAuth(
    authentication_service_pb2_grpc.AuthenticationServiceServicer,
):
    def __init__(self, keyring: Keyring) -> None:
        self.calls = Calls()
        self.known = people()
        self.signer = keyring.identity("auth")
        self.uses: dict[str, Timestamp] = {}
        # What organizations have instead of the installation's limits.
        self.own_limits: dict[str, authentication_pb2.RateLimits] = {}
        # How old a token is when it is given.
        self.late = 0.0
        self._watchers: set[asyncio.Queue[Any]] = set()

    async def Authenticate(
        self, request: authentication_service_pb2.AuthenticateRequest, context: Any
    ) -> authentication_service_pb2.AuthenticateResponse:
        asked = time.time() - self.late
        known = self.known.get(request.credential)
        await self.calls.heard("Authenticate", request, context)
        if known is None:
            raise CredentialMissing("a valid credential is required")
        caller = _chosen(known, request)
        token, expires = self.signer.sign(caller, asked)
        answer = authentication_service_pb2.AuthenticateResponse(
            caller=_to_proto(caller),
            token=token,
            rate_limits=self.own_limits.get(caller.organization_id),
        )
        answer.expire_time.FromMicroseconds(int(expires * 1e6))
        if caller.api_key_id:
            answer.api_key.CopyFrom(a_key(caller))
        return answer

    async def WatchRevocations(
        self, request: authentication_service_pb2.WatchRevocationsRequest, context: Any
    ) -> AsyncIterator[authentication_service_pb2.WatchRevocationsResponse]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._watchers.add(queue)
        self.calls.tell()
        try:
            yield authentication_service_pb2.WatchRevocationsResponse()
            while (answer := await queue.get()) is not None:
                yield answer
        finally:
            self._watchers.discard(queue)

    async def ReportApiKeyUse(
        self, request: authentication_service_pb2.ReportApiKeyUseRequest, context: Any
    ) -> authentication_service_pb2.ReportApiKeyUseResponse:
        await self.calls.heard("ReportApiKeyUse", request, context)
        self.uses |= {use.api_key_id: use.last_use_time for use in request.uses}
        return authentication_service_pb2.ReportApiKeyUseResponse()

    async def watched(self) -> None:
        """Return when somebody watches."""
        await self.calls.until(lambda _: bool(self._watchers))

    def revoke(self, **which: Any) -> None:
        revocation = authentication_pb2.Revocation(**which)
        revocation.time.GetCurrentTime()
        answer = authentication_service_pb2.WatchRevocationsResponse(revocations=[revocation])
        for queue in self._watchers:
            queue.put_nowait(answer)

    def cut(self) -> None:
        """End the streams of everybody who watches."""
        for queue in self._watchers:
            queue.put_nowait(None)


def _chosen(known: Known, request: authentication_service_pb2.AuthenticateRequest) -> Caller:
    caller = known.caller
    chooses = caller.credential == "oidc" or caller.account_key
    wanted = request.path_organization_id or (chooses and request.header_organization_id)
    if not wanted:
        return caller
    if not chooses:
        if wanted != caller.organization_id:
            raise OrganizationForbidden("not a member")
        return caller
    if wanted not in known.organizations:
        raise OrganizationForbidden("not a member")
    role = known.organizations[wanted]
    return _replaced(caller, organization_id=wanted, organization_role=role)


def _replaced(caller: Caller, **changes: Any) -> Caller:
    fields = {name: getattr(caller, name) for name in caller.__struct_fields__}
    return Caller(**fields | changes)


def _to_proto(caller: Caller) -> authentication_pb2.Caller:
    return authentication_pb2.Caller(
        credential=_KINDS[caller.credential],
        user_id=caller.user_id,
        organization_id=caller.organization_id,
        organization_role=_ROLES[caller.organization_role],
        system_role=_SYSTEM_ROLES[caller.system_admin],
        permissions=sorted(caller.permissions),
        api_key_prefix=caller.api_key_prefix,
        api_key_suffix=caller.api_key_suffix,
        api_key_id=caller.api_key_id,
        account_key=caller.account_key,
        service=caller.service,
    )


def a_key(caller: Caller, name: str = "ci") -> api_key_pb2.ApiKey:
    return api_key_pb2.ApiKey(
        id=caller.api_key_id,
        create_time=STAMP,
        organization_id="" if caller.account_key else caller.organization_id,
        user_id=caller.user_id,
        name=name,
        permissions=sorted(caller.permissions),
        prefix="dtn",
        suffix="abc",
        revision=3,
    )
