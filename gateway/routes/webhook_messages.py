"""/webhooks: what was told to endpoints; and what is published of webhooks, answered without the service behind it."""

from typing import Annotated

from fastapi import Query, Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.errors import Problem
from gateway.paths import Segment
from gateway.schemas.errors import errors
from gateway.schemas.webhooks import (
    STATUS_OF,
    ReplayWebhookMessage,
    Status,
    WebhookAppPortalAccess,
    WebhookAttempt,
    WebhookDeliveries,
    WebhookInitializationStatus,
    WebhookMessages,
    attempt_from_proto,
    initialized,
    message_from_proto,
)
from ratoon.orgs.v1 import webhook_pb2
from ratoon.orgs.v1 import webhook_service_pb2 as pb

operations = router("/webhooks/organizations/{organizationId:segment}", "webhooks")
Limit = Annotated[int, Query(ge=1, le=200)]
Token = Annotated[str, Query(alias="nextToken", max_length=2_000)]
Type = Annotated[str, Query(alias="eventType", max_length=100)]
Endpoint = Annotated[str, Query(alias="endpointId", max_length=100)]


@operations.get(
    "/messages",
    operation_id="listWebhookMessages",
    summary="List messages, newest first",
    response_model=WebhookMessages,
    responses=errors(400, 404),
)
@guarded("orgs.WebhookService/ListWebhookMessages")
async def list_webhook_messages(
    call: Call,
    organizationId: Segment,
    limit: Limit = 100,
    next_token: Token = "",
    event_type: Type = "",
    endpoint_id: Endpoint = "",
    status: Status | None = None,
) -> WebhookMessages:
    organization_id = call.caller.organization_id
    request = pb.ListWebhookMessagesRequest(
        organization_id=organization_id,
        page_size=limit,
        page_token=next_token,
        event_type=event_type,
        endpoint_id=endpoint_id,
        status=STATUS_OF[status] if status else webhook_pb2.WEBHOOK_DELIVERY_STATUS_UNSPECIFIED,
    )
    async with call.visit.gateway.lists.of(organization_id):
        answer = await call.rpc(call.services.webhooks.ListWebhookMessages, request)
        items = [message_from_proto(m) for m in answer.messages]
        return WebhookMessages(items=items, next_token=answer.next_page_token or None)


@operations.get(
    "/messages/{messageId:segment}/attempts",
    operation_id="listWebhookMessageAttempts",
    summary="List the attempts to deliver a message, newest first",
    response_model=list[WebhookAttempt],
    responses=errors(404),
)
@guarded("orgs.WebhookService/ListWebhookAttempts")
async def list_webhook_message_attempts(
    call: Call, organizationId: Segment, messageId: Segment
) -> list[WebhookAttempt]:
    request = pb.ListWebhookAttemptsRequest(
        organization_id=call.caller.organization_id, message_id=messageId
    )
    answer = await call.rpc(call.services.webhooks.ListWebhookAttempts, request)
    return [attempt_from_proto(a) for a in answer.attempts]


@operations.post(
    "/messages/{messageId:segment}/replay",
    operation_id="replayWebhookMessage",
    summary="Send a message again, with the same id",
    response_model=WebhookDeliveries,
    responses=errors(404, body=True),
)
@guarded("orgs.WebhookService/ReplayWebhookMessage")
async def replay_webhook_message(
    call: Call, organizationId: Segment, messageId: Segment, body: ReplayWebhookMessage
) -> WebhookDeliveries:
    request = pb.ReplayWebhookMessageRequest(
        organization_id=call.caller.organization_id,
        message_id=messageId,
        endpoint_id=body.endpoint_id or "",
    )
    answer = await call.rpc(call.services.webhooks.ReplayWebhookMessage, request)
    return WebhookDeliveries(deliveries=answer.deliveries)


@operations.get(
    "/initialization-status",
    operation_id="WebhookController_getInitializationStatus",
    summary="Say since when the organization can be told: since it was made",
    response_model=WebhookInitializationStatus,
    responses=errors(404),
)
@guarded("orgs.WebhookService/GetWebhookStatus")
async def get_initialization_status(
    call: Call, organizationId: Segment
) -> WebhookInitializationStatus:
    return await _status(call)


@operations.post(
    "/initialize",
    operation_id="WebhookController_initializeWebhooks",
    summary="Have the organization told; it can be from the beginning",
    status_code=201,
    response_model=WebhookInitializationStatus,
    responses=errors(404),
)
@guarded("orgs.WebhookService/CreateWebhookEndpoint")
async def initialize_webhooks(call: Call, organizationId: Segment) -> WebhookInitializationStatus:
    return await _status(call)


@operations.post(
    "/refresh-endpoints",
    operation_id="WebhookController_refreshEndpoints",
    summary="Read the endpoints anew; they are read for every message",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded("orgs.WebhookService/CreateWebhookEndpoint")
async def refresh_endpoints(call: Call, organizationId: Segment) -> Response:
    return Response(status_code=204)


@operations.post(
    "/app-portal-access",
    operation_id="WebhookController_getAppPortalAccess",
    summary="Get access to a portal; there is none",
    response_model=WebhookAppPortalAccess,
    responses=errors(),
)
@guarded("orgs.WebhookService/CreateWebhookEndpoint")
async def get_app_portal_access(call: Call, organizationId: Segment) -> WebhookAppPortalAccess:
    message = "there is no portal for webhooks: use /webhooks/organizations/{id}/endpoints"
    raise Problem(503, "WEBHOOK_PORTAL_NOT_OFFERED", message)


async def _status(call: Call) -> WebhookInitializationStatus:
    organization_id = call.caller.organization_id
    request = pb.GetWebhookStatusRequest(organization_id=organization_id)
    answer = await call.rpc(call.services.webhooks.GetWebhookStatus, request)
    return initialized(organization_id, answer.create_time)
