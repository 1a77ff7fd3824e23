"""What answers and what happens of itself: the server, its background work, and what both are built of."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import metrics, purge
from chassis.db import Database, connect
from chassis.grpc.caller import Identity, Trust, Verifier
from chassis.grpc.client import channel
from chassis.grpc.consumer import Consumer
from chassis.grpc.feed import EventFeedServicer
from chassis.grpc.server import Server
from chassis.listen import Wakeups
from chassis.outbox import CHANNEL, Feed
from chassis.secrets import Repeatable
from ratoon.auth.v1 import (
    api_key_service_pb2,
    authentication_service_pb2,
    rate_limit_service_pb2,
    user_service_pb2,
)
from ratoon.auth.v1.api_key_service_pb2_grpc import add_ApiKeyServiceServicer_to_server
from ratoon.auth.v1.authentication_service_pb2_grpc import (
    add_AuthenticationServiceServicer_to_server,
)
from ratoon.auth.v1.rate_limit_service_pb2_grpc import add_RateLimitServiceServicer_to_server
from ratoon.auth.v1.user_service_pb2_grpc import add_UserServiceServicer_to_server
from ratoon.events.v1 import event_feed_service_pb2, event_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import add_EventFeedServiceServicer_to_server
from services.auth import events
from services.auth.commands.revocation import REVOKED
from services.auth.domain.machines import ServiceCredentials
from services.auth.domain.people import Issuer
from services.auth.peers import SERVICES, Organizations
from services.auth.servicer.api_keys import ApiKeyServicer
from services.auth.servicer.authentication import AuthenticationServicer
from services.auth.servicer.creation import Creation
from services.auth.servicer.credentials import Credentials
from services.auth.servicer.limits import RateLimitServicer, forget_ended
from services.auth.servicer.revocations import Revocations
from services.auth.servicer.users import UserServicer
from services.auth.settings import Settings


class Auth:
    """Everything that serving is made of, over one database and one way to orgs."""

    def __init__(
        self,
        database: Database,
        url: str,
        orgs: grpc.aio.Channel,
        identity: Identity,
        trust: Trust,
        machines: ServiceCredentials,
        issuer: Issuer | None = None,
    ) -> None:
        self._database = database
        self._orgs = orgs
        self._identity = identity
        self._verifier = Verifier(trust)
        self._wakeups = Wakeups(url, "auth")
        self._feed = Feed(database.pool)
        self._revocations = Revocations(self._verifier)
        self._organizations = Organizations(orgs, identity)
        self._credentials = Credentials(database, self._organizations, machines, issuer)

    def server(self) -> Server:
        server = Server("auth", self._verifier)
        server.add(
            authentication_service_pb2,
            add_AuthenticationServiceServicer_to_server,
            AuthenticationServicer(
                self._credentials, self._identity, self._revocations, self._database.pool
            ),
        )
        repeatable = Repeatable(self._identity.derive("api key secrets"), self._identity.kid)
        server.add(
            api_key_service_pb2,
            add_ApiKeyServiceServicer_to_server,
            ApiKeyServicer(
                self._database,
                self._verifier,
                Creation(self._database, self._verifier, repeatable, self._organizations),
            ),
        )
        server.add(
            user_service_pb2,
            add_UserServiceServicer_to_server,
            UserServicer(self._database, self._organizations),
        )
        server.add(
            rate_limit_service_pb2,
            add_RateLimitServiceServicer_to_server,
            RateLimitServicer(self._database.pool),
        )
        server.add(
            event_feed_service_pb2,
            add_EventFeedServiceServicer_to_server,
            EventFeedServicer(self._feed, self._wakeups),
        )
        return server

    async def run(self) -> None:
        """Do all that happens without being asked for, for ever."""
        # Each server hears of it before the keys go: what it makes at that moment is found by it, if by nobody else.
        sessions = self._database.sessions
        consumer = Consumer("orgs", self._orgs, self._identity, sessions, each=True)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wakeups.run((CHANNEL, REVOKED)))
            tasks.create_task(self._revocations.follow_own(self._database.pool, self._wakeups))
            tasks.create_task(self._revocations.follow_orgs(self._orgs, self._identity))
            tasks.create_task(consumer.run(self._take_effect))
            tasks.create_task(purge.every_hour(self._feed, self._database))
            tasks.create_task(forget_ended(self._database.pool))

    async def _take_effect(self, session: AsyncSession, event: event_pb2.Event) -> None:
        # First, so that a key which is made at this very moment is taken back by whoever makes it.
        self._revocations.hear([event])
        await events.take_effect(session, event)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Whatever of it dies takes the process along."""
    url = settings.database_url.get_secret_value()
    identity = Identity.load(settings.identity_file, "auth")
    trust, machines = Trust(settings.trust_file), settings.machines()
    database = await connect(url, application="auth")
    metrics.expose(settings.metrics_listen)
    async with channel(settings.orgs_target, *SERVICES) as orgs, asyncio.TaskGroup() as tasks:
        issuer, refresh = _issuer(settings)
        auth = Auth(database, url, orgs, identity, trust, machines, issuer)
        background = [tasks.create_task(work) for work in (auth.run(), *refresh)]
        await auth.server().serve(settings.listen, stop)
        for task in background:
            task.cancel()
    await database.close()


def _issuer(settings: Settings) -> tuple[Issuer | None, list[Coroutine[Any, Any, None]]]:
    if not settings.has_issuer:
        return None, []
    # Only an installation with an issuer pays for the HTTP client.
    from services.auth.oidc.issuer import OidcIssuer
    from services.auth.oidc.keys import Keys

    keys = Keys(settings.oidc_issuer_base_url)
    leeway = settings.oidc_leeway_seconds
    return OidcIssuer(keys, settings.oidc_audience, leeway), [keys.run()]
