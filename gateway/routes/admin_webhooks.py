"""/admin/webhooks: what an administrator of the installation does for organizations."""

import msgspec
from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.errors import errors
from gateway.schemas.webhooks import (
    SendWebhookDto,
    WebhookAttempt,
    WebhookStatus,
    attempt_from_proto,
)
from ratoon.orgs.v1 import webhook_service_pb2 as pb

operations = router("/admin/webhooks", "admin")
_IN_ONE = "/organizations/{organizationId:segment}"


@operations.get(
    "/status",
    operation_id="adminGetWebhookStatus",
    summary="Say whether webhooks are sent",
    response_model=WebhookStatus,
    responses=errors(),
)
@guarded("orgs.WebhookService/AdminGetWebhookStatus")
async def admin_get_webhook_status(call: Call) -> WebhookStatus:
    return WebhookStatus(enabled=True)


@operations.post(
    _IN_ONE + "/send",
    operation_id="adminSendWebhook",
    summary="Send a message to the endpoints of an organization",
    response_class=Response,
    response_model=None,
    responses=errors(404, body=True),
)
@guarded("orgs.WebhookService/AdminSendWebhookMessage")
async def admin_send_webhook(call: Call, organizationId: Segment, body: SendWebhookDto) -> Response:
    request = pb.AdminSendWebhookMessageRequest(
        organization_id=organizationId,
        event_type=body.event_type,
        payload=msgspec.json.encode(body.payload).decode(),
        event_id=body.event_id or "",
    )
    await call.rpc(call.services.webhooks.AdminSendWebhookMessage, request)
    return Response()


@operations.get(
    _IN_ONE + "/messages/{messageId:segment}/attempts",
    operation_id="adminGetMessageAttempts",
    summary="List the attempts to deliver a message",
    response_model=list[WebhookAttempt],
    responses=errors(404),
)
@guarded("orgs.WebhookService/AdminListWebhookAttempts")
async def admin_get_message_attempts(
    call: Call, organizationId: Segment, messageId: Segment
) -> list[WebhookAttempt]:
    request = pb.AdminListWebhookAttemptsRequest(
        organization_id=organizationId, message_id=messageId
    )
    answer = await call.rpc(call.services.webhooks.AdminListWebhookAttempts, request)
    return [attempt_from_proto(a) for a in answer.attempts]


@operations.post(
    _IN_ONE + "/initialize",
    operation_id="adminInitializeWebhooks",
    summary="Have an organization told; it can be from the beginning",
    status_code=201,
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded("orgs.WebhookService/AdminGetWebhookStatus")
async def admin_initialize_webhooks(call: Call, organizationId: Segment) -> Response:
    request = pb.AdminGetWebhookStatusRequest(organization_id=organizationId)
    await call.rpc(call.services.webhooks.AdminGetWebhookStatus, request)
    return Response(status_code=201)
