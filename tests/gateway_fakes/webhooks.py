"""Webhooks, made up."""

from typing import Any

from ratoon.orgs.v1 import webhook_pb2, webhook_service_pb2_grpc
from ratoon.orgs.v1 import webhook_service_pb2 as pb
from tests.gateway_fakes.calls import ORG, STAMP, Calls

SECRET = "whsec_" + "A" * 43 + "="
ENDPOINT = "0c1d2e3f-0000-4000-8000-000000000001"


class FakeWebhooks(webhook_service_pb2_grpc.WebhookServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()

    async def CreateWebhookEndpoint(
        self, request: pb.CreateWebhookEndpointRequest, context: Any
    ) -> pb.CreateWebhookEndpointResponse:
        await self.calls.heard("CreateWebhookEndpoint", request, context)
        return pb.CreateWebhookEndpointResponse(endpoint=an_endpoint(), secret=SECRET)

    async def ListWebhookEndpoints(
        self, request: pb.ListWebhookEndpointsRequest, context: Any
    ) -> pb.ListWebhookEndpointsResponse:
        await self.calls.heard("ListWebhookEndpoints", request, context)
        return pb.ListWebhookEndpointsResponse(endpoints=[an_endpoint()])

    async def GetWebhookEndpoint(
        self, request: pb.GetWebhookEndpointRequest, context: Any
    ) -> pb.GetWebhookEndpointResponse:
        await self.calls.heard("GetWebhookEndpoint", request, context)
        return pb.GetWebhookEndpointResponse(endpoint=an_endpoint())

    async def UpdateWebhookEndpoint(
        self, request: pb.UpdateWebhookEndpointRequest, context: Any
    ) -> pb.UpdateWebhookEndpointResponse:
        await self.calls.heard("UpdateWebhookEndpoint", request, context)
        return pb.UpdateWebhookEndpointResponse(endpoint=an_endpoint())

    async def DeleteWebhookEndpoint(
        self, request: pb.DeleteWebhookEndpointRequest, context: Any
    ) -> pb.DeleteWebhookEndpointResponse:
        await self.calls.heard("DeleteWebhookEndpoint", request, context)
        return pb.DeleteWebhookEndpointResponse()

    async def GetWebhookEndpointSecret(
        self, request: pb.GetWebhookEndpointSecretRequest, context: Any
    ) -> pb.GetWebhookEndpointSecretResponse:
        await self.calls.heard("GetWebhookEndpointSecret", request, context)
        return pb.GetWebhookEndpointSecretResponse(secret=SECRET)

    async def RotateWebhookEndpointSecret(
        self, request: pb.RotateWebhookEndpointSecretRequest, context: Any
    ) -> pb.RotateWebhookEndpointSecretResponse:
        await self.calls.heard("RotateWebhookEndpointSecret", request, context)
        return pb.RotateWebhookEndpointSecretResponse(secret=SECRET, previous_secret_until=STAMP)

    async def TestWebhookEndpoint(
        self, request: pb.TestWebhookEndpointRequest, context: Any
    ) -> pb.TestWebhookEndpointResponse:
        await self.calls.heard("TestWebhookEndpoint", request, context)
        return pb.TestWebhookEndpointResponse(message=a_message())

    async def ListWebhookMessages(
        self, request: pb.ListWebhookMessagesRequest, context: Any
    ) -> pb.ListWebhookMessagesResponse:
        await self.calls.heard("ListWebhookMessages", request, context)
        return pb.ListWebhookMessagesResponse(messages=[a_message()], next_page_token="next")

    async def ListWebhookAttempts(
        self, request: pb.ListWebhookAttemptsRequest, context: Any
    ) -> pb.ListWebhookAttemptsResponse:
        await self.calls.heard("ListWebhookAttempts", request, context)
        return pb.ListWebhookAttemptsResponse(attempts=attempts())

    async def ReplayWebhookMessage(
        self, request: pb.ReplayWebhookMessageRequest, context: Any
    ) -> pb.ReplayWebhookMessageResponse:
        await self.calls.heard("ReplayWebhookMessage", request, context)
        return pb.ReplayWebhookMessageResponse(deliveries=2)

    async def RecoverWebhookEndpoint(
        self, request: pb.RecoverWebhookEndpointRequest, context: Any
    ) -> pb.RecoverWebhookEndpointResponse:
        await self.calls.heard("RecoverWebhookEndpoint", request, context)
        return pb.RecoverWebhookEndpointResponse(deliveries=3)

    async def GetWebhookStatus(
        self, request: pb.GetWebhookStatusRequest, context: Any
    ) -> pb.GetWebhookStatusResponse:
        await self.calls.heard("GetWebhookStatus", request, context)
        return pb.GetWebhookStatusResponse(create_time=STAMP)

    async def AdminSendWebhookMessage(
        self, request: pb.AdminSendWebhookMessageRequest, context: Any
    ) -> pb.AdminSendWebhookMessageResponse:
        await self.calls.heard("AdminSendWebhookMessage", request, context)
        return pb.AdminSendWebhookMessageResponse(message=a_message())

    async def AdminListWebhookAttempts(
        self, request: pb.AdminListWebhookAttemptsRequest, context: Any
    ) -> pb.AdminListWebhookAttemptsResponse:
        await self.calls.heard("AdminListWebhookAttempts", request, context)
        return pb.AdminListWebhookAttemptsResponse(attempts=attempts())

    async def AdminGetWebhookStatus(
        self, request: pb.AdminGetWebhookStatusRequest, context: Any
    ) -> pb.AdminGetWebhookStatusResponse:
        await self.calls.heard("AdminGetWebhookStatus", request, context)
        return pb.AdminGetWebhookStatusResponse(create_time=STAMP)


def an_endpoint() -> webhook_pb2.WebhookEndpoint:
    return webhook_pb2.WebhookEndpoint(
        id=ENDPOINT,
        create_time=STAMP,
        update_time=STAMP,
        organization_id=ORG,
        url="https://hooks.example/x",
        event_types=["snapshot.created"],
        enabled=False,
        disabled_reason="failing",
        failing_since=STAMP,
        revision=3,
    )


def a_message() -> webhook_pb2.WebhookMessage:
    delivery = webhook_pb2.WebhookDelivery(
        endpoint_id=ENDPOINT,
        status=webhook_pb2.WEBHOOK_DELIVERY_STATUS_PENDING,
        attempts=1,
        next_attempt_time=STAMP,
    )
    return webhook_pb2.WebhookMessage(
        id="msg_1",
        create_time=STAMP,
        event_type="ping",
        payload="{}",
        deliveries=[delivery],
    )


def attempts() -> list[webhook_pb2.WebhookAttempt]:
    known: dict[str, Any] = {
        "create_time": STAMP,
        "endpoint_id": ENDPOINT,
        "duration_milliseconds": 12,
    }
    return [
        webhook_pb2.WebhookAttempt(id="2", status_code=204, **known),
        webhook_pb2.WebhookAttempt(id="1", error_code="TIMEOUT", **known),
    ]
