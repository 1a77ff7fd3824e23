"""What answers and what happens of itself: the server, its background work, and what both are built of."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import grpc

from chassis import metrics, purge
from chassis.db import Database, connect
from chassis.grpc import revocations
from chassis.grpc.caller import Identity, Trust, Verifier
from chassis.grpc.client import channel
from chassis.grpc.consumer import Consumer, HandleAll, OwnConsumer
from chassis.grpc.feed import EventFeedServicer
from chassis.grpc.server import Server
from chassis.listen import Wakeups
from chassis.outbox import CHANNEL, Feed
from chassis.secrets import Repeatable
from ratoon.auth.v1 import authentication_service_pb2
from ratoon.events.v1 import event_feed_service_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import add_EventFeedServiceServicer_to_server
from ratoon.orgs.v1 import (
    audit_service_pb2,
    invitation_service_pb2,
    member_service_pb2,
    organization_service_pb2,
    region_service_pb2,
    role_service_pb2,
    webhook_service_pb2,
)
from ratoon.orgs.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from ratoon.orgs.v1.invitation_service_pb2_grpc import add_InvitationServiceServicer_to_server
from ratoon.orgs.v1.member_service_pb2_grpc import add_MemberServiceServicer_to_server
from ratoon.orgs.v1.organization_service_pb2_grpc import add_OrganizationServiceServicer_to_server
from ratoon.orgs.v1.region_service_pb2_grpc import add_RegionServiceServicer_to_server
from ratoon.orgs.v1.role_service_pb2_grpc import add_RoleServiceServicer_to_server
from ratoon.orgs.v1.webhook_service_pb2_grpc import add_WebhookServiceServicer_to_server
from services.orgs.commands import audit, mails, regions
from services.orgs.commands.suspensions import SUSPENSIONS
from services.orgs.commands.webhooks import farewell, messages
from services.orgs.events import from_auth, from_snapshots
from services.orgs.mail.mailer import Mailer
from services.orgs.mail.post import Post
from services.orgs.servicer.audit import AuditServicer
from services.orgs.servicer.audit_feed import into_audit_log
from services.orgs.servicer.invitations import InvitationServicer
from services.orgs.servicer.members import MemberServicer
from services.orgs.servicer.organizations import OrganizationServicer
from services.orgs.servicer.regions import RegionServicer
from services.orgs.servicer.roles import RoleServicer
from services.orgs.servicer.suspensions import end_suspensions
from services.orgs.servicer.webhook_feed import into_webhooks
from services.orgs.servicer.webhooks import WebhookServicer
from services.orgs.settings import Settings
from services.orgs.webhooks.deliverer import Deliverer
from services.orgs.webhooks.sender import Sender


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; a background task that dies takes the process with it."""
    url = settings.database_url.get_secret_value()
    database = await connect(url, application="orgs")
    identity = Identity.load(settings.identity_file, "orgs")
    verifier = Verifier(Trust(settings.trust_file))
    wakeups, feed = Wakeups(url, "orgs"), Feed(database.pool)
    auth = channel(settings.auth_target, event_feed_service_pb2, authentication_service_pb2)
    snapshots = channel(settings.snapshots_target, event_feed_service_pb2)
    try:
        await provide_default_region(database, settings)
        metrics.expose(settings.metrics_listen)
        async with asyncio.TaskGroup() as group:
            follow = revocations.follow(auth, identity, verifier.revoke, stand=_nothing_to_drop)
            hear = wakeups.run((CHANNEL, mails.CHANNEL, messages.CHANNEL, SUSPENSIONS))
            work = _work(database, settings, (feed, wakeups), (auth, snapshots), identity)
            background = [group.create_task(one) for one in (hear, follow, *work)]
            server = build(database, verifier, wakeups, settings, identity)
            await server.serve(settings.listen, stop)
            for task in background:
                task.cancel()
    finally:
        await auth.close()
        await snapshots.close()
        await database.close()


def _nothing_to_drop() -> None:
    """What the verifier remembers, it would verify again."""


def _work(
    database: Database,
    settings: Settings,
    own: tuple[Feed, Wakeups],
    channels: tuple[grpc.aio.Channel, grpc.aio.Channel],
    identity: Identity,
) -> list[Coroutine[Any, Any, None]]:
    """Return what is done without being asked for, for ever."""
    sessions, (feed, wakeups), (auth, snapshots) = database.sessions, own, channels
    return [
        Consumer("auth", auth, identity, sessions).run(from_auth),
        Consumer("snapshots", snapshots, identity, sessions).run(from_snapshots),
        *_watched("audit", into_audit_log, database, own, channels, identity),
        *_watched("webhooks", into_webhooks, database, own, channels, identity),
        deliverer(database, wakeups, settings).run(),
        end_suspensions(sessions, wakeups),
        purge.every_hour(feed, database, *_forgetting(database, settings)),
        *(mailer.run() for mailer in mailers(database, wakeups, settings)),
    ]


def build(
    database: Database,
    verifier: Verifier,
    wakeups: Wakeups,
    settings: Settings,
    identity: Identity,
) -> Server:
    """Return the server with all services of this context."""
    server = Server("orgs", verifier)
    organizations = OrganizationServicer(database, settings.defaults(), settings.ring())
    server.add(organization_service_pb2, add_OrganizationServiceServicer_to_server, organizations)
    server.add(member_service_pb2, add_MemberServiceServicer_to_server, MemberServicer(database))
    repeatable = Repeatable(identity.derive("region secrets"), identity.kid)
    region = RegionServicer(database, repeatable)
    server.add(region_service_pb2, add_RegionServiceServicer_to_server, region)
    server.add(role_service_pb2, add_RoleServiceServicer_to_server, RoleServicer(database))
    invitations = InvitationServicer(
        database,
        settings.delivery(),
        verified_email_required=settings.defaults().verified_email_required,
    )
    server.add(invitation_service_pb2, add_InvitationServiceServicer_to_server, invitations)
    server.add(audit_service_pb2, add_AuditServiceServicer_to_server, AuditServicer(database))
    webhooks = WebhookServicer(database, settings.ring(), settings.reach())
    server.add(webhook_service_pb2, add_WebhookServiceServicer_to_server, webhooks)
    feed = EventFeedServicer(Feed(database.pool), wakeups)
    server.add(event_feed_service_pb2, add_EventFeedServiceServicer_to_server, feed)
    return server


def mailers(database: Database, wakeups: Wakeups, settings: Settings) -> list[Mailer]:
    """Return who sends mails; nobody without a mail server."""
    relay = settings.relay()
    if relay is None:
        return []
    return [Mailer(database.sessions, wakeups, Post(relay), settings.delivery())]


def deliverer(database: Database, wakeups: Wakeups, settings: Settings) -> Deliverer:
    """Return who delivers webhooks."""
    return Deliverer(database.sessions, wakeups, Sender(settings.reach()), settings.ring())


def _watched(
    purpose: str,
    into: Callable[[str], HandleAll],
    database: Database,
    own: tuple[Feed, Wakeups],
    channels: tuple[grpc.aio.Channel, grpc.aio.Channel],
    identity: Identity,
) -> list[Coroutine[Any, Any, None]]:
    """Return what takes the feeds of auth and snapshots and the own one into effect for a purpose."""
    sessions, (auth, snapshots) = database.sessions, channels
    return [
        Consumer(f"auth {purpose}", auth, identity, sessions).run_all(into("auth")),
        Consumer(f"snapshots {purpose}", snapshots, identity, sessions).run_all(into("snapshots")),
        OwnConsumer(f"orgs {purpose}", *own, sessions).run_all(into("orgs")),
    ]


def _forgetting(database: Database, settings: Settings) -> list[partial[Coroutine[Any, Any, None]]]:
    """Return what is forgotten every hour besides: without a number of days the audit log is kept for ever."""
    days, sessions = settings.audit_log_retention_days, database.sessions
    told = [
        partial(messages.forget, sessions, settings.webhooks_retention_days),
        partial(farewell.forget, sessions),
    ]
    return told if days is None else [*told, partial(audit.forget, sessions, days)]


async def provide_default_region(database: Database, settings: Settings) -> None:
    async with database.sessions.begin() as session:
        await regions.provide_default(
            session,
            settings.region_id,
            settings.region_name,
            enforce_quotas=settings.region_enforce_quotas,
            totals=settings.defaults().region_totals,
        )
