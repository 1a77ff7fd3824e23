"""The services behind the gateway, made up: in process, on real sockets, behind the real door."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.errors import Kind, Refusal
from chassis.grpc.access import CredentialMissing, OrganizationForbidden
from chassis.grpc.caller import Caller, Verifier
from chassis.grpc.interceptors import current_caller
from chassis.grpc.server import Server
from gateway.__main__ import gateway_of
from gateway.app import Gateway, create_app
from gateway.clients import Services, Targets
from gateway.server import App
from gateway.settings import Settings
from ratoon.access.v1 import access_pb2
from ratoon.auth.v1 import (
    api_key_pb2,
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    authentication_pb2,
    authentication_service_pb2,
    authentication_service_pb2_grpc,
    user_pb2,
    user_service_pb2,
    user_service_pb2_grpc,
)
from ratoon.orgs.v1 import (
    member_pb2,
    member_service_pb2,
    member_service_pb2_grpc,
    organization_pb2,
    organization_service_pb2,
    organization_service_pb2_grpc,
    region_pb2,
    region_service_pb2,
    region_service_pb2_grpc,
)
from ratoon.snapshots.v1 import (
    snapshot_pb2,
    snapshot_service_pb2,
    snapshot_service_pb2_grpc,
)
from tests.identities import Keyring

STAMP = Timestamp(seconds=1_767_225_600, nanos=123_000_000)
SHOWN_STAMP = "2026-01-01T00:00:00.123Z"
ORG, OTHER = str(UUID(int=1, version=4)), str(UUID(int=2, version=4))
USER = "auth0|ada"
OWNER, VIEWER, KEY, READER, ACCOUNT, ADMIN_PROBE = (
    "eyJ.owner",
    "eyJ.viewer",
    "dtn_" + "a" * 64,
    "dtn_" + "b" * 64,
    "dtn_" + "c" * 64,
    "probe-credential",
)
ALL = ("write:snapshots", "delete:snapshots", "manage:api_keys", "manage:members")

_KINDS = {
    "api_key": access_pb2.CREDENTIAL_KIND_API_KEY,
    "oidc": access_pb2.CREDENTIAL_KIND_OIDC,
    "service": access_pb2.CREDENTIAL_KIND_SERVICE,
}
_ROLES = {
    "member": access_pb2.ORGANIZATION_ROLE_MEMBER,
    "owner": access_pb2.ORGANIZATION_ROLE_OWNER,
}


class NotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "SNAPSHOT_NOT_FOUND"


class NameTaken(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "SNAPSHOT_NAME_TAKEN"


class QuotaExceeded(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "SNAPSHOT_QUOTA_EXCEEDED"


class NoBuild(Refusal):
    kind, reason = Kind.NOT_FOUND, "BUILD_NOT_FOUND"


@dataclass
class Calls:
    """What a fake was asked, in order, and what it shall do instead of answering."""

    requests: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    refusals: dict[str, Exception] = field(default_factory=dict)
    holds: dict[str, asyncio.Event] = field(default_factory=dict)
    running: int = 0
    most: int = 0
    cancelled: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def names(self) -> list[str]:
        return [name for name, _, _ in self.requests]

    def last(self, name: str) -> Any:
        return [request for n, request, _ in self.requests if n == name][-1]

    def metadata(self, name: str) -> dict[str, str]:
        return [metadata for n, _, metadata in self.requests if n == name][-1]

    def tell(self) -> None:
        """Wake those who wait for a change."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, condition: Callable[["Calls"], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition(self):
                await self.changed.wait()

    async def heard(self, name: str, request: Any, context: Any) -> None:
        self.requests.append((name, request, dict(context.invocation_metadata())))
        self.running += 1
        self.most = max(self.most, self.running)
        self.tell()
        try:
            if hold := self.holds.get(name):
                await hold.wait()
            if refusal := self.refusals.get(name):
                raise refusal
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
            self.tell()


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
        ACCOUNT: Known(key(3, *ALL, "manage:organization", account_key=True), both),
        ADMIN_PROBE: Known(Caller(credential="service", service="health-check")),
    }


class FakeAuth(
    authentication_service_pb2_grpc.AuthenticationServiceServicer,
):
    def __init__(self, keyring: Keyring) -> None:
        self.calls = Calls()
        self.known = people()
        self.signer = keyring.identity("auth")
        self.uses: dict[str, Timestamp] = {}
        self._watchers: set[asyncio.Queue[Any]] = set()

    async def Authenticate(
        self, request: authentication_service_pb2.AuthenticateRequest, context: Any
    ) -> authentication_service_pb2.AuthenticateResponse:
        asked = time.time()
        known = self.known.get(request.credential)
        await self.calls.heard("Authenticate", request, context)
        if known is None:
            raise CredentialMissing("a valid credential is required")
        caller = _chosen(known, request)
        token, expires = self.signer.sign(caller, asked)
        answer = authentication_service_pb2.AuthenticateResponse(
            caller=_to_proto(caller), token=token
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

    def revoke(self, **which: str) -> None:
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
        organization_role=_ROLES.get(caller.organization_role, 0),
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
    )


class FakeApiKeys(api_key_service_pb2_grpc.ApiKeyServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()

    async def CreateApiKey(
        self, request: api_key_service_pb2.CreateApiKeyRequest, context: Any
    ) -> api_key_service_pb2.CreateApiKeyResponse:
        await self.calls.heard("CreateApiKey", request, context)
        key = a_key(current_caller.get(), request.name)
        del key.permissions[:]
        key.permissions.extend(request.permissions)
        if request.HasField("expire_time"):
            key.expire_time.CopyFrom(request.expire_time)
        return api_key_service_pb2.CreateApiKeyResponse(api_key=key, secret="dtn_" + "f" * 64)

    async def ListApiKeys(
        self, request: api_key_service_pb2.ListApiKeysRequest, context: Any
    ) -> api_key_service_pb2.ListApiKeysResponse:
        await self.calls.heard("ListApiKeys", request, context)
        keys = [a_key(current_caller.get(), name) for name in ("ci", "laptop")]
        keys[1].last_use_time.CopyFrom(STAMP)
        return api_key_service_pb2.ListApiKeysResponse(api_keys=keys)

    async def GetApiKey(
        self, request: api_key_service_pb2.GetApiKeyRequest, context: Any
    ) -> api_key_service_pb2.GetApiKeyResponse:
        await self.calls.heard("GetApiKey", request, context)
        key = a_key(current_caller.get(), request.name)
        return api_key_service_pb2.GetApiKeyResponse(api_key=key)

    async def DeleteApiKey(
        self, request: api_key_service_pb2.DeleteApiKeyRequest, context: Any
    ) -> api_key_service_pb2.DeleteApiKeyResponse:
        await self.calls.heard("DeleteApiKey", request, context)
        return api_key_service_pb2.DeleteApiKeyResponse()


class FakeUsers(user_service_pb2_grpc.UserServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()

    async def GetCurrentUser(
        self, request: user_service_pb2.GetCurrentUserRequest, context: Any
    ) -> user_service_pb2.GetCurrentUserResponse:
        await self.calls.heard("GetCurrentUser", request, context)
        user = user_pb2.User(id=current_caller.get().user_id, create_time=STAMP, name="Ada")
        user.email, user.email_verified = "ada@example.com", True
        return user_service_pb2.GetCurrentUserResponse(user=user)


def an_organization(id_: str = ORG, **more: Any) -> organization_pb2.Organization:
    limits = organization_pb2.Limits(
        max_cpu_per_sandbox=4,
        max_memory_per_sandbox=8,
        max_disk_per_sandbox=10,
        snapshot_deactivation_timeout_minutes=20_160,
        suspension_cleanup_grace_period_hours=24,
    )
    return organization_pb2.Organization(
        id=id_,
        create_time=STAMP,
        update_time=STAMP,
        name="Personal",
        created_by=USER,
        limits=limits,
        **more,
    )


class FakeOrganizations(
    organization_service_pb2_grpc.OrganizationServiceServicer,
    member_service_pb2_grpc.MemberServiceServicer,
    region_service_pb2_grpc.RegionServiceServicer,
):
    def __init__(self) -> None:
        self.calls = Calls()
        self.organizations = [an_organization(default_region_id="us"), an_organization(OTHER)]

    async def CreateOrganization(
        self, request: organization_service_pb2.CreateOrganizationRequest, context: Any
    ) -> organization_service_pb2.CreateOrganizationResponse:
        await self.calls.heard("CreateOrganization", request, context)
        made = an_organization(str(uuid4()), default_region_id=request.default_region_id)
        made.name = request.name
        return organization_service_pb2.CreateOrganizationResponse(organization=made)

    async def ListOrganizations(
        self, request: organization_service_pb2.ListOrganizationsRequest, context: Any
    ) -> organization_service_pb2.ListOrganizationsResponse:
        await self.calls.heard("ListOrganizations", request, context)
        return organization_service_pb2.ListOrganizationsResponse(organizations=self.organizations)

    async def GetOrganization(
        self, request: organization_service_pb2.GetOrganizationRequest, context: Any
    ) -> organization_service_pb2.GetOrganizationResponse:
        await self.calls.heard("GetOrganization", request, context)
        found = next(o for o in self.organizations if o.id == request.organization_id)
        return organization_service_pb2.GetOrganizationResponse(organization=found)

    async def SetDefaultRegion(
        self, request: organization_service_pb2.SetDefaultRegionRequest, context: Any
    ) -> organization_service_pb2.SetDefaultRegionResponse:
        await self.calls.heard("SetDefaultRegion", request, context)
        return organization_service_pb2.SetDefaultRegionResponse()

    async def DeleteOrganization(
        self, request: organization_service_pb2.DeleteOrganizationRequest, context: Any
    ) -> organization_service_pb2.DeleteOrganizationResponse:
        await self.calls.heard("DeleteOrganization", request, context)
        return organization_service_pb2.DeleteOrganizationResponse()

    async def LeaveOrganization(
        self, request: organization_service_pb2.LeaveOrganizationRequest, context: Any
    ) -> organization_service_pb2.LeaveOrganizationResponse:
        await self.calls.heard("LeaveOrganization", request, context)
        return organization_service_pb2.LeaveOrganizationResponse()

    async def ListMembers(
        self, request: member_service_pb2.ListMembersRequest, context: Any
    ) -> member_service_pb2.ListMembersResponse:
        await self.calls.heard("ListMembers", request, context)
        role = member_pb2.Role(id="r", create_time=STAMP, update_time=STAMP, name="Developer")
        role.permissions.append("write:sandboxes")
        member = member_pb2.Member(
            organization_id=request.organization_id,
            create_time=STAMP,
            update_time=STAMP,
            user_id=USER,
            role=access_pb2.ORGANIZATION_ROLE_OWNER,
            roles=[role],
        )
        return member_service_pb2.ListMembersResponse(members=[member])

    async def ListSharedRegions(
        self, request: region_service_pb2.ListSharedRegionsRequest, context: Any
    ) -> region_service_pb2.ListSharedRegionsResponse:
        await self.calls.heard("ListSharedRegions", request, context)
        return region_service_pb2.ListSharedRegionsResponse(regions=[_region()])

    async def ListRegions(
        self, request: region_service_pb2.ListRegionsRequest, context: Any
    ) -> region_service_pb2.ListRegionsResponse:
        await self.calls.heard("ListRegions", request, context)
        return region_service_pb2.ListRegionsResponse(regions=[_region()])


def _region() -> region_pb2.Region:
    return region_pb2.Region(
        id="us",
        create_time=STAMP,
        update_time=STAMP,
        name="us",
        type=region_pb2.REGION_TYPE_SHARED,
    )


def a_snapshot(name: str = "base", **more: Any) -> snapshot_pb2.Snapshot:
    fields: dict[str, Any] = {
        "id": str(uuid4()),
        "create_time": STAMP,
        "update_time": STAMP,
        "organization_id": ORG,
        "name": name,
        "image_ref": "alpine:3.20",
        "state": snapshot_pb2.SNAPSHOT_STATE_PENDING,
        "cpu": 1,
        "memory": 1,
        "disk": 3,
        "region_ids": ["us"],
    }
    return snapshot_pb2.Snapshot(**fields | more)


class FakeSnapshots(snapshot_service_pb2_grpc.SnapshotServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()
        self.snapshots = [a_snapshot()]
        self.logs: dict[str, list[bytes]] = {}

    async def CreateSnapshot(
        self, request: snapshot_service_pb2.CreateSnapshotRequest, context: Any
    ) -> snapshot_service_pb2.CreateSnapshotResponse:
        await self.calls.heard("CreateSnapshot", request, context)
        made = a_snapshot(request.name, image_ref=request.image_ref, entrypoint=request.entrypoint)
        if request.HasField("memory"):
            made.memory = request.memory
        return snapshot_service_pb2.CreateSnapshotResponse(snapshot=made)

    async def ListSnapshots(
        self, request: snapshot_service_pb2.ListSnapshotsRequest, context: Any
    ) -> snapshot_service_pb2.ListSnapshotsResponse:
        await self.calls.heard("ListSnapshots", request, context)
        page = self.snapshots[request.skip : request.skip + request.page_size]
        return snapshot_service_pb2.ListSnapshotsResponse(
            snapshots=page, total_size=len(self.snapshots)
        )

    async def GetSnapshot(
        self, request: snapshot_service_pb2.GetSnapshotRequest, context: Any
    ) -> snapshot_service_pb2.GetSnapshotResponse:
        await self.calls.heard("GetSnapshot", request, context)
        return snapshot_service_pb2.GetSnapshotResponse(snapshot=self._find(request.ref.text))

    async def DeleteSnapshot(
        self, request: snapshot_service_pb2.DeleteSnapshotRequest, context: Any
    ) -> snapshot_service_pb2.DeleteSnapshotResponse:
        await self.calls.heard("DeleteSnapshot", request, context)
        self._find(request.ref.text)
        return snapshot_service_pb2.DeleteSnapshotResponse()

    async def ActivateSnapshot(
        self, request: snapshot_service_pb2.ActivateSnapshotRequest, context: Any
    ) -> snapshot_service_pb2.ActivateSnapshotResponse:
        await self.calls.heard("ActivateSnapshot", request, context)
        found = self._find(request.ref.text)
        return snapshot_service_pb2.ActivateSnapshotResponse(snapshot=found)

    async def DeactivateSnapshot(
        self, request: snapshot_service_pb2.DeactivateSnapshotRequest, context: Any
    ) -> snapshot_service_pb2.DeactivateSnapshotResponse:
        await self.calls.heard("DeactivateSnapshot", request, context)
        self._find(request.ref.text)
        return snapshot_service_pb2.DeactivateSnapshotResponse()

    async def StreamBuildLog(
        self, request: snapshot_service_pb2.StreamBuildLogRequest, context: Any
    ) -> AsyncIterator[snapshot_service_pb2.StreamBuildLogResponse]:
        await self.calls.heard("StreamBuildLog", request, context)
        found = self._find(request.ref.text)
        if found.name not in self.logs:
            raise NoBuild("it was not built")
        for data in self.logs[found.name]:
            yield snapshot_service_pb2.StreamBuildLogResponse(data=data)

    def _find(self, text: str) -> snapshot_pb2.Snapshot:
        for snapshot in self.snapshots:
            if text in (snapshot.id, snapshot.name):
                return snapshot
        raise NotFound("there is no such snapshot")


class Fakes:
    """All services, served; and the gateway before them."""

    def __init__(self, keyring: Keyring, folder: Path) -> None:
        self.keyring = keyring
        self.folder = folder
        self.auth = FakeAuth(keyring)
        self.api_keys = FakeApiKeys()
        self.users = FakeUsers()
        self.orgs = FakeOrganizations()
        self.snapshots = FakeSnapshots()
        self.verifiers = {name: Verifier(keyring.trust()) for name in ("auth", "orgs", "snapshots")}
        self.running: dict[str, grpc.aio.Server] = {}

    def target(self, name: str) -> str:
        return f"unix:{self.folder}/{name}"

    async def start(self) -> None:
        for name in self.verifiers:
            await self.start_one(name)

    async def start_one(self, name: str) -> None:
        server = Server(name, self.verifiers[name])
        for module, add, servicer in self._served()[name]:
            server.add(module, add, servicer)
        self.running[name] = await server.start(self.target(name))

    async def stop(self) -> None:
        for name in list(self.running):
            await self.stop_one(name)

    async def stop_one(self, name: str) -> None:
        await self.running.pop(name).stop(None)

    def settings(self, **changes: Any) -> Settings:
        told: dict[str, Any] = {
            "identity_file": str(self.keyring.folder / "identity-gateway.pem"),
            **{f"{name}_target": self.target(name) for name in self.verifiers},
        }
        return Settings.model_construct(**_defaults() | told | changes)

    @asynccontextmanager
    async def gateway(self, **changes: Any) -> AsyncIterator[tuple[Gateway, App]]:
        """Open the gateway; what it shares may be replaced by name, its settings begin with `set_`."""
        set_ = {k.removeprefix("set_"): v for k, v in changes.items() if k.startswith("set_")}
        rest = {k: v for k, v in changes.items() if not k.startswith("set_")}
        settings = self.settings(**set_)
        services = Services(
            Targets(settings.auth_target, settings.orgs_target, settings.snapshots_target)
        )
        made = gateway_of(settings, services, self.keyring.identity("gateway"))
        gateway = replace(made, **rest)
        yield gateway, create_app(gateway, settings.cors_origins)
        await services.close()

    def _served(self) -> dict[str, list[tuple[Any, Any, Any]]]:
        return {
            "auth": [
                (
                    authentication_service_pb2,
                    authentication_service_pb2_grpc.add_AuthenticationServiceServicer_to_server,
                    self.auth,
                ),
                (
                    api_key_service_pb2,
                    api_key_service_pb2_grpc.add_ApiKeyServiceServicer_to_server,
                    self.api_keys,
                ),
                (
                    user_service_pb2,
                    user_service_pb2_grpc.add_UserServiceServicer_to_server,
                    self.users,
                ),
            ],
            "orgs": [
                (
                    organization_service_pb2,
                    organization_service_pb2_grpc.add_OrganizationServiceServicer_to_server,
                    self.orgs,
                ),
                (
                    member_service_pb2,
                    member_service_pb2_grpc.add_MemberServiceServicer_to_server,
                    self.orgs,
                ),
                (
                    region_service_pb2,
                    region_service_pb2_grpc.add_RegionServiceServicer_to_server,
                    self.orgs,
                ),
            ],
            "snapshots": [
                (
                    snapshot_service_pb2,
                    snapshot_service_pb2_grpc.add_SnapshotServiceServicer_to_server,
                    self.snapshots,
                ),
            ],
        }


def _defaults() -> dict[str, Any]:
    """Return the settings' defaults, so that the environment of the tests says nothing."""
    fields = Settings.model_fields.items()
    return {name: info.default for name, info in fields if not info.is_required()}
