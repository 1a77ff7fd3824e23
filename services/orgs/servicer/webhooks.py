"""WebhookService over gRPC."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from grpc.aio import ServicerContext
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.grpc.interceptors import current_caller
from chassis.grpc.wire import to_timestamp
from chassis.sealing import KeyRing
from ratoon.orgs.v1 import webhook_pb2
from ratoon.orgs.v1 import webhook_service_pb2 as pb
from ratoon.orgs.v1.webhook_service_pb2_grpc import WebhookServiceServicer
from services.orgs.commands import sealed
from services.orgs.commands.webhooks import endpoints, messages
from services.orgs.convert.webhooks import (
    attempt_to_proto,
    columns_from_proto,
    endpoint_to_proto,
    message_to_proto,
    page_from_proto,
    since_from_proto,
    token_for,
)
from services.orgs.domain import uuid_of
from services.orgs.domain.webhooks import (
    KNOWN_TYPES,
    EventTypeUnknown,
    Reach,
    fit_description,
    fit_payload,
    fit_types,
    fit_url,
)
from services.orgs.queries import members
from services.orgs.queries import webhooks as queries
from services.orgs.servicer.once import once
from services.orgs.tables import WebhookEndpoint

Context = ServicerContext[Any, Any]
_ADMINISTRATORS = UUID("9a4d8c1e-7f0b-4f0e-8a35-61d1f2f3b0c7")


class WebhookServicer(WebhookServiceServicer):
    def __init__(self, database: Database, ring: KeyRing, reach: Reach) -> None:
        self._sessions = database.sessions
        self._ring = ring
        self._reach = reach

    async def CreateWebhookEndpoint(
        self, request: pb.CreateWebhookEndpointRequest, context: Context
    ) -> pb.CreateWebhookEndpointResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)

        async def create(session: AsyncSession) -> pb.CreateWebhookEndpointResponse:
            endpoint, _ = await endpoints.create(
                session,
                id_,
                me,
                self._ring,
                url=fit_url(request.url, self._reach),
                description=fit_description(request.description),
                types=fit_types(request.event_types),
                enabled=not request.disabled,
            )
            return pb.CreateWebhookEndpointResponse(endpoint=_shown(endpoint))

        scope = f"CreateWebhookEndpoint\n{me}\n{request.organization_id}"
        async with self._sessions.begin() as session:
            answer = await once(session, scope, request, pb.CreateWebhookEndpointResponse, create)
            # The secret is in no answer that is kept to be repeated.
            made = await self._owned(session, request.organization_id, answer.endpoint.id)
            answer.secret = sealed.webhook_secret(self._ring, made.id, made.secret)
        return answer

    async def ListWebhookEndpoints(
        self, request: pb.ListWebhookEndpointsRequest, context: Context
    ) -> pb.ListWebhookEndpointsResponse:
        async with self._sessions.begin() as session:
            found = await queries.all_of(session, await _own(session, request.organization_id))
        return pb.ListWebhookEndpointsResponse(endpoints=map(_shown, found))

    async def GetWebhookEndpoint(
        self, request: pb.GetWebhookEndpointRequest, context: Context
    ) -> pb.GetWebhookEndpointResponse:
        async with self._sessions.begin() as session:
            found = await self._owned(session, request.organization_id, request.endpoint_id)
        return pb.GetWebhookEndpointResponse(endpoint=_shown(found))

    async def UpdateWebhookEndpoint(
        self, request: pb.UpdateWebhookEndpointRequest, context: Context
    ) -> pb.UpdateWebhookEndpointResponse:
        columns = columns_from_proto(request, self._reach)
        async with self._sessions.begin() as session:
            changed = await endpoints.change(
                session,
                *_named(request),
                request,
                enabled=request.enabled if request.HasField("enabled") else None,
                **columns,
            )
        return pb.UpdateWebhookEndpointResponse(endpoint=_shown(changed))

    async def DeleteWebhookEndpoint(
        self, request: pb.DeleteWebhookEndpointRequest, context: Context
    ) -> pb.DeleteWebhookEndpointResponse:
        async with self._sessions.begin() as session:
            await endpoints.delete(session, *_named(request))
        return pb.DeleteWebhookEndpointResponse()

    async def GetWebhookEndpointSecret(
        self, request: pb.GetWebhookEndpointSecretRequest, context: Context
    ) -> pb.GetWebhookEndpointSecretResponse:
        async with self._sessions.begin() as session:
            found = await self._owned(session, request.organization_id, request.endpoint_id)
            secret = sealed.webhook_secret(self._ring, found.id, found.secret)
        answer = pb.GetWebhookEndpointSecretResponse(secret=secret)
        shown = _shown(found)
        if shown.HasField("previous_secret_until"):
            answer.previous_secret_until.CopyFrom(shown.previous_secret_until)
        return answer

    async def RotateWebhookEndpointSecret(
        self, request: pb.RotateWebhookEndpointSecretRequest, context: Context
    ) -> pb.RotateWebhookEndpointSecretResponse:
        async with self._sessions.begin() as session:
            secret, until = await endpoints.rotate(session, *_named(request), self._ring)
        return pb.RotateWebhookEndpointSecretResponse(
            secret=secret, previous_secret_until=to_timestamp(until)
        )

    async def TestWebhookEndpoint(
        self, request: pb.TestWebhookEndpointRequest, context: Context
    ) -> pb.TestWebhookEndpointResponse:
        async with self._sessions.begin() as session:
            sent = await messages.ping(session, *_named(request))
            message = await _message(session, sent.id)
        return pb.TestWebhookEndpointResponse(message=message)

    async def ListWebhookMessages(
        self, request: pb.ListWebhookMessagesRequest, context: Context
    ) -> pb.ListWebhookMessagesResponse:
        wanted = page_from_proto(request)
        async with self._sessions.begin() as session:
            found = await queries.page(
                session, await _own(session, request.organization_id), wanted
            )
        shown = found[: wanted.limit]
        return pb.ListWebhookMessagesResponse(
            messages=[message_to_proto(*one) for one in shown],
            next_page_token=token_for(shown[-1][0]) if len(found) > wanted.limit else "",
        )

    async def ListWebhookAttempts(
        self, request: pb.ListWebhookAttemptsRequest, context: Context
    ) -> pb.ListWebhookAttemptsResponse:
        async with self._sessions.begin() as session:
            id_ = await _own(session, request.organization_id)
            found = await queries.attempts(session, id_, request.message_id)
        return pb.ListWebhookAttemptsResponse(attempts=map(attempt_to_proto, found))

    async def ReplayWebhookMessage(
        self, request: pb.ReplayWebhookMessageRequest, context: Context
    ) -> pb.ReplayWebhookMessageResponse:
        me, id_ = current_caller.get().user_id, uuid_of(request.organization_id)
        to = uuid_of(request.endpoint_id)
        async with self._sessions.begin() as session:
            count = await messages.replay(
                session, id_, me, request.message_id, to, to_one=bool(request.endpoint_id)
            )
        return pb.ReplayWebhookMessageResponse(deliveries=count)

    async def RecoverWebhookEndpoint(
        self, request: pb.RecoverWebhookEndpointRequest, context: Context
    ) -> pb.RecoverWebhookEndpointResponse:
        since = since_from_proto(request)
        async with self._sessions.begin() as session:
            count = await messages.recover(session, *_named(request), since)
        return pb.RecoverWebhookEndpointResponse(deliveries=count)

    async def GetWebhookStatus(
        self, request: pb.GetWebhookStatusRequest, context: Context
    ) -> pb.GetWebhookStatusResponse:
        async with self._sessions.begin() as session:
            since = await queries.since(session, uuid_of(request.organization_id))
        return pb.GetWebhookStatusResponse(create_time=to_timestamp(since))

    async def AdminSendWebhookMessage(
        self, request: pb.AdminSendWebhookMessageRequest, context: Context
    ) -> pb.AdminSendWebhookMessageResponse:
        if request.event_type not in KNOWN_TYPES:
            raise EventTypeUnknown("this is no type of event")
        payload, id_ = fit_payload(request.payload), messages.new_id()
        if request.event_id:
            place = f"{request.organization_id}\n{request.event_id}"
            id_ = f"msg_{uuid5(_ADMINISTRATORS, place).hex}"
        async with self._sessions.begin() as session:
            organization_id = uuid_of(request.organization_id)
            sent = await messages.send(session, organization_id, request.event_type, payload, id_)
        # Where nobody is told, nothing is kept.
        shown = webhook_pb2.WebhookMessage(
            id=sent.id,
            create_time=to_timestamp(sent.made),
            event_type=sent.type,
            payload=sent.payload,
        )
        return pb.AdminSendWebhookMessageResponse(message=shown)

    async def AdminListWebhookAttempts(
        self, request: pb.AdminListWebhookAttemptsRequest, context: Context
    ) -> pb.AdminListWebhookAttemptsResponse:
        id_ = uuid_of(request.organization_id)
        async with self._sessions.begin() as session:
            found = await queries.attempts(session, id_, request.message_id)
        return pb.AdminListWebhookAttemptsResponse(attempts=map(attempt_to_proto, found))

    async def AdminGetWebhookStatus(
        self, request: pb.AdminGetWebhookStatusRequest, context: Context
    ) -> pb.AdminGetWebhookStatusResponse:
        async with self._sessions.begin() as session:
            since = await queries.since(session, uuid_of(request.organization_id))
        return pb.AdminGetWebhookStatusResponse(create_time=to_timestamp(since))

    async def _owned(
        self, session: AsyncSession, organization_id: str, endpoint_id: str
    ) -> WebhookEndpoint:
        return await queries.one(
            session, await _own(session, organization_id), uuid_of(endpoint_id)
        )


async def _own(session: AsyncSession, organization_id: str) -> UUID:
    """Return the organization if the caller owns it still: what the caller's token says may be a minute old."""
    id_ = uuid_of(organization_id)
    assert id_ is not None  # the door has compared it with the caller's
    await members.check_owner(session, id_, current_caller.get().user_id)
    return id_


def _named(request: Any) -> tuple[UUID | None, str, UUID | None]:
    me = current_caller.get().user_id
    return uuid_of(request.organization_id), me, uuid_of(request.endpoint_id)


async def _message(session: AsyncSession, message_id: str) -> webhook_pb2.WebhookMessage:
    standing = await queries.deliveries_of(session, [message_id])
    found = await queries.message(session, message_id)
    return message_to_proto(found, standing.get(message_id, []))


def _shown(endpoint: WebhookEndpoint) -> webhook_pb2.WebhookEndpoint:
    return endpoint_to_proto(endpoint, datetime.now(UTC))
