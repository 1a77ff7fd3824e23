"""The services behind the gateway: a few channels to each, their stubs taken in turn."""

from dataclasses import dataclass
from itertools import cycle
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis.grpc.client import channel
from ratoon.auth.v1 import (
    api_key_service_pb2,
    authentication_service_pb2,
    rate_limit_service_pb2,
    user_service_pb2,
)
from ratoon.auth.v1.api_key_service_pb2_grpc import ApiKeyServiceStub
from ratoon.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub
from ratoon.auth.v1.rate_limit_service_pb2_grpc import RateLimitServiceStub
from ratoon.auth.v1.user_service_pb2_grpc import UserServiceStub
from ratoon.events.v1.event_feed_service_pb2_grpc import EventFeedServiceStub
from ratoon.orgs.v1 import (
    audit_service_pb2,
    invitation_service_pb2,
    member_service_pb2,
    organization_service_pb2,
    region_service_pb2,
    role_service_pb2,
    webhook_service_pb2,
)
from ratoon.orgs.v1.audit_service_pb2_grpc import AuditServiceStub
from ratoon.orgs.v1.invitation_service_pb2_grpc import InvitationServiceStub
from ratoon.orgs.v1.member_service_pb2_grpc import MemberServiceStub
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceStub
from ratoon.orgs.v1.region_service_pb2_grpc import RegionServiceStub
from ratoon.orgs.v1.role_service_pb2_grpc import RoleServiceStub
from ratoon.orgs.v1.webhook_service_pb2_grpc import WebhookServiceStub
from ratoon.snapshots.v1 import (
    bulk_job_service_pb2,
    context_service_pb2,
    registry_service_pb2,
    share_service_pb2,
    snapshot_admin_service_pb2,
    snapshot_service_pb2,
    version_service_pb2,
)
from ratoon.snapshots.v1.bulk_job_service_pb2_grpc import BulkJobServiceStub
from ratoon.snapshots.v1.context_service_pb2_grpc import ContextServiceStub
from ratoon.snapshots.v1.registry_service_pb2_grpc import RegistryServiceStub
from ratoon.snapshots.v1.share_service_pb2_grpc import ShareServiceStub
from ratoon.snapshots.v1.snapshot_admin_service_pb2_grpc import SnapshotAdminServiceStub
from ratoon.snapshots.v1.snapshot_service_pb2_grpc import SnapshotServiceStub
from ratoon.snapshots.v1.version_service_pb2_grpc import VersionServiceStub

AUTH = (
    api_key_service_pb2,
    authentication_service_pb2,
    rate_limit_service_pb2,
    user_service_pb2,
)
ORGS = (
    audit_service_pb2,
    invitation_service_pb2,
    member_service_pb2,
    organization_service_pb2,
    region_service_pb2,
    role_service_pb2,
    webhook_service_pb2,
)
SNAPSHOTS = (
    bulk_job_service_pb2,
    context_service_pb2,
    registry_service_pb2,
    share_service_pb2,
    snapshot_admin_service_pb2,
    snapshot_service_pb2,
    version_service_pb2,
)
_PROBE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the services listen: `unix:/path` or `host:port`."""

    auth: str
    orgs: str
    snapshots: str


class Services:
    """One stub per gRPC service; of the service that is called most, one per channel, in turn."""

    def __init__(self, targets: Targets, snapshot_channels: int = 1) -> None:
        self.auth_channel = channel(targets.auth, *AUTH)
        orgs = channel(targets.orgs, *ORGS)
        snapshots = [channel(targets.snapshots, *SNAPSHOTS) for _ in range(snapshot_channels)]
        self._channels = [self.auth_channel, orgs, *snapshots]
        self.authentication = AuthenticationServiceStub(self.auth_channel)
        self.api_keys = ApiKeyServiceStub(self.auth_channel)
        self.users = UserServiceStub(self.auth_channel)
        self.rate_limits = RateLimitServiceStub(self.auth_channel)
        self.members = MemberServiceStub(orgs)
        self.organizations = OrganizationServiceStub(orgs)
        self.regions = RegionServiceStub(orgs)
        self.roles = RoleServiceStub(orgs)
        self.invitations = InvitationServiceStub(orgs)
        self.audit = AuditServiceStub(orgs)
        self.registries = RegistryServiceStub(snapshots[0])
        self.contexts = ContextServiceStub(snapshots[0])
        self.snapshot_administration = SnapshotAdminServiceStub(snapshots[0])
        self.bulk_jobs = BulkJobServiceStub(snapshots[0])
        self.webhooks = WebhookServiceStub(orgs)
        self.snapshot_events = EventFeedServiceStub(snapshots[0])
        self._snapshots = cycle([SnapshotServiceStub(c) for c in snapshots])
        self.shares = ShareServiceStub(snapshots[0])
        self.versions = VersionServiceStub(snapshots[0])
        self._probes: dict[str, Any] = {
            name: health_pb2_grpc.HealthStub(c)
            for name, c in (
                ("auth", self.auth_channel),
                ("orgs", orgs),
                ("snapshots", snapshots[0]),
            )
        }

    @property
    def snapshots(self) -> SnapshotServiceStub:
        return next(self._snapshots)

    async def away(self) -> list[str]:
        """Return the names of the services that do not say that they serve."""
        return [name for name, stub in self._probes.items() if not await _serves(stub)]

    async def close(self) -> None:
        for opened in self._channels:
            await opened.close()


async def _serves(stub: Any) -> bool:
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_PROBE_SECONDS)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
