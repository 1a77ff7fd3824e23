"""python -m gateway serve: the whole wiring of the process."""

import asyncio
import gc
import sys
from collections.abc import Callable

from chassis import logging as logs
from chassis import metrics, process
from chassis.grpc import revocations
from chassis.grpc.caller import Identity
from gateway import server
from gateway.addresses import Peers
from gateway.app import Gateway, create_app
from gateway.auth import Authenticator
from gateway.clients import Services, Targets
from gateway.fairness import Turns
from gateway.limits.leases import Leases
from gateway.limits.limits import Limits
from gateway.live.rooms import Rooms
from gateway.refusals import Refusals
from gateway.schemas.config import (
    DaytonaConfiguration,
    OidcConfig,
    RateLimitConfig,
    RateLimitEntry,
)
from gateway.schemas.organizations import Shown
from gateway.settings import Settings
from gateway.streams import Streams
from gateway.uses import KeyUses

# Harmless where nothing is configured: a name that no resolver answers.
_NOWHERE = "https://login.invalid"


def gateway_of(settings: Settings, services: Services, identity: Identity) -> Gateway:
    """Build what all requests share."""
    leases = Leases(services.rate_limits, identity)
    authenticator = Authenticator(services.authentication, identity)
    return Gateway(
        services=services,
        identity=identity,
        authenticator=authenticator,
        refusals=Refusals(services.audit, identity, authenticator),
        uses=KeyUses(services.authentication, identity),
        peers=Peers(settings.trusted_proxies),
        lists=Turns(settings.lists_at_once, settings.lists_waiting),
        shown=Shown(null_dates=settings.null_dates),
        configuration=_configuration(settings),
        limits=Limits(leases, settings.limits()),
        rooms=Rooms(services.snapshot_events, identity, settings.listeners()),
        streams=Streams(),
        version=settings.version,
        public_url=settings.public_url,
        maintenance=settings.maintenance_mode,
        access_log=settings.access_log,
    )


def _configuration(settings: Settings) -> DaytonaConfiguration:
    base = settings.public_url or f"http://{settings.listen}"
    return DaytonaConfiguration(
        version=settings.version,
        oidc=OidcConfig(
            issuer=settings.oidc_issuer or _NOWHERE,
            client_id=settings.oidc_client_id or "ratoon",
            audience=settings.oidc_audience or "ratoon",
            provider="oidc",
        ),
        linked_accounts_enabled=False,
        announcements={},
        proxy_template_url=f"{base}/{{{{PORT}}}}-{{{{sandboxId}}}}",
        proxy_toolbox_url=f"{base}/toolbox",
        default_snapshot=settings.default_snapshot,
        dashboard_url=settings.dashboard_url or base,
        max_auto_archive_interval=43_200,
        maintanance_mode=settings.maintenance_mode,
        environment=settings.environment,
        rate_limit=_rate_limit(settings),
    )


def _rate_limit(told: Settings) -> RateLimitConfig:
    """Say what is limited; what fails to authenticate is nobody's business."""
    entry = RateLimitEntry
    return RateLimitConfig(
        authenticated=entry(ttl=told.authenticated_ttl, limit=told.authenticated_limit),
        sandbox_create=entry(ttl=told.sandbox_create_ttl, limit=told.sandbox_create_limit),
        sandbox_lifecycle=entry(ttl=told.sandbox_lifecycle_ttl, limit=told.sandbox_lifecycle_limit),
    )


async def serve(stop: asyncio.Event) -> None:
    logs.configure("gateway")
    settings = Settings()  # type: ignore[call-arg]  # the environment gives them
    identity = Identity.load(settings.identity_file, "gateway")
    services = Services(
        Targets(settings.auth_target, settings.orgs_target, settings.snapshots_target)
    )
    gateway = gateway_of(settings, services, identity)
    metrics.expose(settings.metrics_listen)
    app = create_app(gateway, settings.cors_origins)
    # What is here now stays: leave it out of every collection.
    gc.collect()
    gc.freeze()
    try:
        await _run(gateway, app, settings.listen, stop)
    finally:
        await gateway.limits.close()
        await gateway.uses.report()
        await gateway.refusals.tell()
        await services.close()


async def follow(gateway: Gateway) -> None:
    """Forget, drop and tell whoever is concerned by what auth revokes, for ever."""
    auth = gateway.services.auth_channel
    await revocations.follow(auth, gateway.identity, *effect_on(gateway), gateway.rooms.close)


def effect_on(gateway: Gateway) -> tuple[revocations.Revoke, Callable[[], None]]:
    """Return what a revocation does to a gateway, and what the beginning of the watch over them does."""
    known, rooms, streams = gateway.authenticator, gateway.rooms, gateway.streams

    def revoke(at: float, api_key_id: str, user_id: str, organization_id: str) -> None:
        # In this order: who is dropped and comes back is not to be remembered.
        for each in (known, rooms, streams):
            each.revoke(at, api_key_id, user_id, organization_id)

    def stand() -> None:
        known.stand()
        rooms.drop_all("revocations may have been missed")
        streams.doubt_all()

    return revoke, stand


async def _run(gateway: Gateway, app: server.App, listen: str, stop: asyncio.Event) -> None:
    """Serve; a task that dies ends the process, and the end of serving ends the tasks."""
    async with asyncio.TaskGroup() as group:
        work = (follow(gateway), gateway.uses.run(), gateway.limits.run(), gateway.refusals.run())
        tasks = [group.create_task(one) for one in work]
        await server.serve(app, listen, stop)
        for task in tasks:
            task.cancel()


def main() -> None:
    if sys.argv[1:] != ["serve"]:
        sys.exit("usage: python -m gateway serve")
    process.run(serve)


if __name__ == "__main__":
    main()
