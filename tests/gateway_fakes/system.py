"""All services, served on real sockets behind the real door; and the gateway before them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

from chassis.grpc.caller import Verifier
from chassis.grpc.server import Server
from gateway.__main__ import gateway_of
from gateway.app import Gateway, create_app
from gateway.clients import Services, Targets
from gateway.server import App
from gateway.settings import Settings
from ratoon.auth.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    authentication_service_pb2,
    authentication_service_pb2_grpc,
    rate_limit_service_pb2,
    rate_limit_service_pb2_grpc,
    user_service_pb2,
    user_service_pb2_grpc,
)
from ratoon.events.v1 import event_feed_service_pb2, event_feed_service_pb2_grpc
from ratoon.orgs.v1 import (
    audit_service_pb2,
    audit_service_pb2_grpc,
    invitation_service_pb2,
    invitation_service_pb2_grpc,
    member_service_pb2,
    member_service_pb2_grpc,
    organization_service_pb2,
    organization_service_pb2_grpc,
    region_service_pb2,
    region_service_pb2_grpc,
    role_service_pb2,
    role_service_pb2_grpc,
    webhook_service_pb2,
    webhook_service_pb2_grpc,
)
from ratoon.snapshots.v1 import (
    bulk_job_service_pb2,
    bulk_job_service_pb2_grpc,
    context_service_pb2,
    context_service_pb2_grpc,
    registry_service_pb2,
    registry_service_pb2_grpc,
    share_service_pb2,
    share_service_pb2_grpc,
    snapshot_admin_service_pb2,
    snapshot_admin_service_pb2_grpc,
    snapshot_service_pb2,
    snapshot_service_pb2_grpc,
    version_service_pb2,
    version_service_pb2_grpc,
)
from tests.gateway_fakes.audit import FakeAudit
from tests.gateway_fakes.auth import FakeAuth
from tests.gateway_fakes.bulk import FakeBulkJobs
from tests.gateway_fakes.contexts import FakeContexts
from tests.gateway_fakes.feed import FakeFeed
from tests.gateway_fakes.keys import FakeApiKeys, FakeUsers
from tests.gateway_fakes.limits import FakeRateLimits
from tests.gateway_fakes.orgs import FakeOrganizations
from tests.gateway_fakes.people import FakePeople
from tests.gateway_fakes.regions import FakeRegions
from tests.gateway_fakes.registries import FakeRegistries
from tests.gateway_fakes.shares import FakeShares
from tests.gateway_fakes.snapshot_administration import FakeSnapshotAdministration
from tests.gateway_fakes.snapshots import FakeSnapshots
from tests.gateway_fakes.versions import FakeVersions
from tests.gateway_fakes.webhooks import FakeWebhooks
from tests.identities import Keyring


class Fakes:
    """All services, served; and the gateway before them."""

    def __init__(self, keyring: Keyring, folder: Path) -> None:
        self.keyring = keyring
        self.folder = folder
        self.auth = FakeAuth(keyring)
        self.api_keys = FakeApiKeys()
        self.rate_limits = FakeRateLimits()
        self.users = FakeUsers()  # type: ignore[abstract]  # the gateway asks nothing else of it
        self.orgs = FakeOrganizations()  # type: ignore[abstract]  # as above
        self.people = FakePeople()
        self.regions = FakeRegions()  # type: ignore[abstract]  # as above
        self.snapshots = FakeSnapshots()
        self.registries = FakeRegistries()
        self.contexts = FakeContexts()
        self.bulk_jobs = FakeBulkJobs()
        self.snapshot_administration = FakeSnapshotAdministration(self.snapshots)
        self.shares = FakeShares()
        self.versions = FakeVersions()
        self.audit = FakeAudit()
        self.webhooks = FakeWebhooks()
        self.feed = FakeFeed()
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
                    rate_limit_service_pb2,
                    rate_limit_service_pb2_grpc.add_RateLimitServiceServicer_to_server,
                    self.rate_limits,
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
                    self.people,
                ),
                (
                    role_service_pb2,
                    role_service_pb2_grpc.add_RoleServiceServicer_to_server,
                    self.people,
                ),
                (
                    invitation_service_pb2,
                    invitation_service_pb2_grpc.add_InvitationServiceServicer_to_server,
                    self.people,
                ),
                (
                    audit_service_pb2,
                    audit_service_pb2_grpc.add_AuditServiceServicer_to_server,
                    self.audit,
                ),
                (
                    region_service_pb2,
                    region_service_pb2_grpc.add_RegionServiceServicer_to_server,
                    self.regions,
                ),
                (
                    webhook_service_pb2,
                    webhook_service_pb2_grpc.add_WebhookServiceServicer_to_server,
                    self.webhooks,
                ),
            ],
            "snapshots": [
                (
                    snapshot_service_pb2,
                    snapshot_service_pb2_grpc.add_SnapshotServiceServicer_to_server,
                    self.snapshots,
                ),
                (
                    registry_service_pb2,
                    registry_service_pb2_grpc.add_RegistryServiceServicer_to_server,
                    self.registries,
                ),
                (
                    context_service_pb2,
                    context_service_pb2_grpc.add_ContextServiceServicer_to_server,
                    self.contexts,
                ),
                (
                    snapshot_admin_service_pb2,
                    snapshot_admin_service_pb2_grpc.add_SnapshotAdminServiceServicer_to_server,
                    self.snapshot_administration,
                ),
                (
                    bulk_job_service_pb2,
                    bulk_job_service_pb2_grpc.add_BulkJobServiceServicer_to_server,
                    self.bulk_jobs,
                ),
                (
                    share_service_pb2,
                    share_service_pb2_grpc.add_ShareServiceServicer_to_server,
                    self.shares,
                ),
                (
                    version_service_pb2,
                    version_service_pb2_grpc.add_VersionServiceServicer_to_server,
                    self.versions,
                ),
                (
                    event_feed_service_pb2,
                    event_feed_service_pb2_grpc.add_EventFeedServiceServicer_to_server,
                    self.feed,
                ),
            ],
        }


def _defaults() -> dict[str, Any]:
    """Return the settings' defaults, so that the environment of the tests says nothing."""
    fields = Settings.model_fields.items()
    return {name: info.default for name, info in fields if not info.is_required()}
