"""An orgs that delivers webhooks, to a receiver of the test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.listen import Wakeups
from chassis.outbox import CHANNEL as OUTBOX
from ratoon.events.v1 import event_pb2
from ratoon.orgs.v1 import webhook_pb2
from ratoon.orgs.v1 import webhook_service_pb2 as pb
from ratoon.orgs.v1.webhook_service_pb2_grpc import WebhookServiceStub
from services.orgs.commands.webhooks.messages import CHANNEL
from services.orgs.servicer.webhook_feed import into_webhooks
from services.orgs.webhooks.deliverer import Deliverer
from services.orgs.webhooks.sender import Sender
from tests.identities import Keyring
from tests.integration.orgs.actor import Actor, an_owner
from tests.integration.orgs.conftest import House, a_house
from tests.receiver import Receiver, a_receiver

PENDING = webhook_pb2.WEBHOOK_DELIVERY_STATUS_PENDING
DELIVERED = webhook_pb2.WEBHOOK_DELIVERY_STATUS_DELIVERED
FAILED = webhook_pb2.WEBHOOK_DELIVERY_STATUS_FAILED


@dataclass(frozen=True)
class Hooks:
    house: House
    receiver: Receiver
    wakeups: Wakeups
    stub: WebhookServiceStub

    def deliverer(
        self,
        lease: float = 60.0,
        pause: Callable[[int], float | None] = lambda _: 0.02,
        seconds: float = 5.0,
    ) -> Deliverer:
        settings = self.house.settings
        sender = Sender(settings.reach(), seconds)
        sessions, ring = self.house.database.sessions, settings.ring()
        return Deliverer(sessions, self.wakeups, sender, ring, lease=lease, pause=pause)

    @asynccontextmanager
    async def delivering(self, *deliverers: Deliverer) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(d.run()) for d in deliverers or (self.deliverer(),)]
        yield
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(e, asyncio.CancelledError) for e in ended), ended

    async def happen(self, *events: event_pb2.Event, context: str = "snapshots") -> None:
        """Have the feed of a context tell these events."""
        async with self.house.database.sessions.begin() as session:
            await into_webhooks(context)(session, events)

    async def endpoint(
        self, owner: Actor, *types: str, path: str = "/hook", **more: Any
    ) -> tuple[str, str]:
        """Make an endpoint at the receiver; return its id and secret."""
        request = pb.CreateWebhookEndpointRequest(
            organization_id=owner.organization_id,
            **{"url": self.receiver.url(path), "event_types": types, **more},
        )
        made = await self.stub.CreateWebhookEndpoint(request, metadata=owner.metadata())
        return made.endpoint.id, made.secret

    async def show(self, owner: Actor, endpoint_id: str) -> webhook_pb2.WebhookEndpoint:
        request = pb.GetWebhookEndpointRequest(
            organization_id=owner.organization_id, endpoint_id=endpoint_id
        )
        answer = await self.stub.GetWebhookEndpoint(request, metadata=owner.metadata())
        return answer.endpoint

    async def messages(self, owner: Actor, **more: Any) -> list[webhook_pb2.WebhookMessage]:
        return list((await self.page(owner, **more)).messages)

    async def page(self, owner: Actor, **more: Any) -> pb.ListWebhookMessagesResponse:
        request = pb.ListWebhookMessagesRequest(
            **{"organization_id": owner.organization_id, "page_size": 100, **more}
        )
        return await self.stub.ListWebhookMessages(request, metadata=owner.metadata())

    async def attempts(self, owner: Actor, message_id: str) -> list[webhook_pb2.WebhookAttempt]:
        request = pb.ListWebhookAttemptsRequest(
            organization_id=owner.organization_id, message_id=message_id
        )
        answer = await self.stub.ListWebhookAttempts(request, metadata=owner.metadata())
        return list(answer.attempts)

    async def until(
        self, owner: Actor, condition: Callable[[Sequence[webhook_pb2.WebhookMessage]], bool]
    ) -> list[webhook_pb2.WebhookMessage]:
        """Wait until the log is as wanted."""
        async with asyncio.timeout(30):
            while not condition(found := await self.messages(owner)):
                continue
        return found

    async def owner(self) -> Actor:
        return await an_owner(self.house)


@asynccontextmanager
async def hooks_over(
    url: str, keyring: Keyring, folder: Path, **settings: Any
) -> AsyncIterator[Hooks]:
    wakeups = Wakeups(url, "webhooks")
    listening = asyncio.create_task(wakeups.run((CHANNEL, OUTBOX)))
    told = {"webhooks_allowed_networks": "127.0.0.0/8", "webhooks_allow_http": True, **settings}
    async with a_receiver() as receiver, a_house(url, keyring, folder, **told) as house:
        yield Hooks(house, receiver, wakeups, WebhookServiceStub(house.channel))
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


@asynccontextmanager
async def anew(hooks: Hooks) -> AsyncIterator[Hooks]:
    """Give the same orgs without an endpoint, and a receiver that has heard nothing."""
    await hooks.house.database.pool.execute("DELETE FROM webhook_endpoints")
    await hooks.house.database.pool.execute("DELETE FROM webhook_messages")
    async with a_receiver() as receiver:
        yield replace(hooks, receiver=receiver)


def statuses(messages: Sequence[webhook_pb2.WebhookMessage]) -> list[int]:
    return [d.status for m in messages for d in m.deliveries]


def an_event(organization_id: str, cursor: str = "", **payload: Any) -> event_pb2.Event:
    """Return an event that happens now, of the given payload."""
    at = Timestamp()
    at.FromDatetime(datetime.now(UTC))
    return event_pb2.Event(
        cursor=cursor or uuid4().hex,
        create_time=at,
        organization_id=organization_id,
        **payload,
    )


def created(organization_id: str, name: str = "base", cursor: str = "") -> event_pb2.Event:
    made = event_pb2.SnapshotCreated(snapshot_id=str(uuid4()), name=name, state="pending")
    return an_event(organization_id, cursor, snapshot_created=made)
