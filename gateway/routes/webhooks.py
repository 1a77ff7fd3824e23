"""/webhooks: where an organization is told what happens in it; REST in front of WebhookService."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.errors import errors
from gateway.schemas.webhooks import (
    CreatedWebhookEndpoint,
    CreateWebhookEndpoint,
    RecoverWebhookEndpoint,
    UpdateWebhookEndpoint,
    WebhookDeliveries,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
    changes_of,
    created_from_proto,
    creation_of,
    endpoint_from_proto,
    message_from_proto,
    secret_from_proto,
    stamp_of,
)
from ratoon.orgs.v1 import webhook_service_pb2 as pb

operations = router("/webhooks/organizations/{organizationId:segment}/endpoints", "webhooks")


@operations.post(
    "",
    operation_id="createWebhookEndpoint",
    summary="Create an endpoint; messages to it are signed with the secret in the answer",
    status_code=201,
    response_model=CreatedWebhookEndpoint,
    responses=errors(409, body=True),
)
@guarded("orgs.WebhookService/CreateWebhookEndpoint")
async def create_webhook_endpoint(
    call: Call, organizationId: Segment, body: CreateWebhookEndpoint
) -> CreatedWebhookEndpoint:
    named = {"organization_id": call.caller.organization_id, "request_id": call.idempotency_key}
    request = creation_of(body, **named)
    answer = await call.rpc(call.services.webhooks.CreateWebhookEndpoint, request)
    call.say_revision(answer.endpoint.revision)
    return created_from_proto(answer)


@operations.get(
    "",
    operation_id="listWebhookEndpoints",
    summary="List the endpoints",
    response_model=list[WebhookEndpoint],
    responses=errors(),
)
@guarded("orgs.WebhookService/ListWebhookEndpoints")
async def list_webhook_endpoints(call: Call, organizationId: Segment) -> list[WebhookEndpoint]:
    request = pb.ListWebhookEndpointsRequest(organization_id=call.caller.organization_id)
    answer = await call.rpc(call.services.webhooks.ListWebhookEndpoints, request)
    return [endpoint_from_proto(e) for e in answer.endpoints]


@operations.get(
    "/{endpointId:segment}",
    operation_id="getWebhookEndpoint",
    summary="Get an endpoint",
    response_model=WebhookEndpoint,
    responses=errors(404),
)
@guarded("orgs.WebhookService/GetWebhookEndpoint")
async def get_webhook_endpoint(
    call: Call, organizationId: Segment, endpointId: Segment
) -> WebhookEndpoint:
    request = pb.GetWebhookEndpointRequest(**_named(call, endpointId))
    answer = await call.rpc(call.services.webhooks.GetWebhookEndpoint, request)
    call.say_revision(answer.endpoint.revision)
    return endpoint_from_proto(answer.endpoint)


@operations.patch(
    "/{endpointId:segment}",
    operation_id="updateWebhookEndpoint",
    summary="Change an endpoint",
    response_model=WebhookEndpoint,
    responses=errors(404, 412, body=True),
)
@guarded("orgs.WebhookService/UpdateWebhookEndpoint")
async def update_webhook_endpoint(
    call: Call, organizationId: Segment, endpointId: Segment, body: UpdateWebhookEndpoint
) -> WebhookEndpoint:
    request = pb.UpdateWebhookEndpointRequest(
        organization_id=call.caller.organization_id,
        endpoint_id=endpointId,
        if_revision=call.if_revision,
        **changes_of(body),
    )
    answer = await call.rpc(call.services.webhooks.UpdateWebhookEndpoint, request)
    call.say_revision(answer.endpoint.revision)
    return endpoint_from_proto(answer.endpoint)


@operations.delete(
    "/{endpointId:segment}",
    operation_id="deleteWebhookEndpoint",
    summary="Delete an endpoint and the log of its deliveries",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded("orgs.WebhookService/DeleteWebhookEndpoint")
async def delete_webhook_endpoint(
    call: Call, organizationId: Segment, endpointId: Segment
) -> Response:
    request = pb.DeleteWebhookEndpointRequest(**_named(call, endpointId))
    await call.rpc(call.services.webhooks.DeleteWebhookEndpoint, request)
    return Response(status_code=204)


@operations.get(
    "/{endpointId:segment}/secret",
    operation_id="getWebhookEndpointSecret",
    summary="Get the secret with which messages to an endpoint are signed",
    response_model=WebhookSecret,
    responses=errors(404),
)
@guarded("orgs.WebhookService/GetWebhookEndpointSecret")
async def get_webhook_endpoint_secret(
    call: Call, organizationId: Segment, endpointId: Segment
) -> WebhookSecret:
    request = pb.GetWebhookEndpointSecretRequest(**_named(call, endpointId))
    answer = await call.rpc(call.services.webhooks.GetWebhookEndpointSecret, request)
    return secret_from_proto(answer)


@operations.post(
    "/{endpointId:segment}/secret/rotate",
    operation_id="rotateWebhookEndpointSecret",
    summary="Replace the secret; for 24 hours messages are signed with both",
    response_model=WebhookSecret,
    responses=errors(404),
)
@guarded("orgs.WebhookService/RotateWebhookEndpointSecret")
async def rotate_webhook_endpoint_secret(
    call: Call, organizationId: Segment, endpointId: Segment
) -> WebhookSecret:
    request = pb.RotateWebhookEndpointSecretRequest(**_named(call, endpointId))
    answer = await call.rpc(call.services.webhooks.RotateWebhookEndpointSecret, request)
    return secret_from_proto(answer)


@operations.post(
    "/{endpointId:segment}/test",
    operation_id="testWebhookEndpoint",
    summary="Send a message of type ping to an endpoint",
    response_model=WebhookMessage,
    responses=errors(400, 404),
)
@guarded("orgs.WebhookService/TestWebhookEndpoint")
async def test_webhook_endpoint(
    call: Call, organizationId: Segment, endpointId: Segment
) -> WebhookMessage:
    request = pb.TestWebhookEndpointRequest(**_named(call, endpointId))
    answer = await call.rpc(call.services.webhooks.TestWebhookEndpoint, request)
    return message_from_proto(answer.message)


@operations.post(
    "/{endpointId:segment}/recover",
    operation_id="recoverWebhookEndpoint",
    summary="Send what was not delivered to an endpoint since a moment",
    response_model=WebhookDeliveries,
    responses=errors(404, body=True),
)
@guarded("orgs.WebhookService/RecoverWebhookEndpoint")
async def recover_webhook_endpoint(
    call: Call, organizationId: Segment, endpointId: Segment, body: RecoverWebhookEndpoint
) -> WebhookDeliveries:
    request = pb.RecoverWebhookEndpointRequest(
        **_named(call, endpointId), since=stamp_of(body.since)
    )
    answer = await call.rpc(call.services.webhooks.RecoverWebhookEndpoint, request)
    return WebhookDeliveries(deliveries=answer.deliveries)


def _named(call: Call, endpoint_id: str) -> dict[str, str]:
    return {"organization_id": call.caller.organization_id, "endpoint_id": endpoint_id}
