"""Shapes of webhooks."""

from datetime import datetime
from typing import Annotated, Any, Literal

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import Field, StringConstraints

from gateway.schemas.base import NO_NUL, Answer, Asked, Moment, Text, iso
from ratoon.orgs.v1 import webhook_pb2
from ratoon.orgs.v1 import webhook_service_pb2 as pb

Url = Annotated[str, StringConstraints(min_length=1, max_length=2_048, pattern=NO_NUL)]
Description = Annotated[str, StringConstraints(max_length=1_024, pattern=NO_NUL)]
Types = Annotated[list[Text], Field(max_length=100)]
Status = Literal["pending", "delivered", "failed"]
_STATUSES: dict[webhook_pb2.WebhookDeliveryStatus.ValueType, Status] = {
    webhook_pb2.WEBHOOK_DELIVERY_STATUS_PENDING: "pending",
    webhook_pb2.WEBHOOK_DELIVERY_STATUS_DELIVERED: "delivered",
    webhook_pb2.WEBHOOK_DELIVERY_STATUS_FAILED: "failed",
}
STATUS_OF = {shown: number for number, shown in _STATUSES.items()}
_TYPES = "Types of events, such as snapshot.created; empty: all"


class CreateWebhookEndpoint(Asked):
    url: Url = Field(description="Where messages are sent; https")
    description: Description | None = None
    event_types: Types | None = Field(default=None, description=_TYPES)
    enabled: bool | None = Field(default=None, description="false: it is told nothing yet")


class UpdateWebhookEndpoint(Asked):
    """What is left out, or null, stays as it is."""

    url: Url | None = Field(default=None, description="Where messages are sent; https")
    description: Description | None = None
    event_types: Types | None = Field(default=None, description=_TYPES)
    enabled: bool | None = None


class ReplayWebhookMessage(Asked):
    endpoint_id: Text | None = Field(default=None, description="null: all that want its type")


class RecoverWebhookEndpoint(Asked):
    since: Moment = Field(description="What was not delivered since then is sent")


class SendWebhookDto(Asked):
    event_type: Text = Field(min_length=1, description="The type of the event")
    payload: dict[str, Any] = Field(description="What is sent")
    event_id: Text | None = Field(default=None, description="The same one is sent once only")


class WebhookEndpoint(Answer):
    id: str
    organization_id: str
    url: str
    description: str
    event_types: list[str] = Field(description=_TYPES)
    enabled: bool
    disabled_reason: str | None = Field(
        description="requested, gone (it answered 410) or failing (for five days)"
    )
    failing_since: str | None = Field(description="Since when nothing was delivered")
    previous_secret_until: str | None = Field(
        description="Until when the secret before the last rotation signs too"
    )
    created_at: str
    updated_at: str


class CreatedWebhookEndpoint(WebhookEndpoint):
    secret: str = Field(description="With what messages are signed (Standard Webhooks)")


class WebhookSecret(Answer):
    secret: str = Field(description="With what messages are signed (Standard Webhooks)")
    previous_secret_until: str | None = Field(
        description="Until when the secret before the last rotation signs too"
    )


class WebhookDelivery(Answer):
    endpoint_id: str
    status: Status
    attempts: int
    next_attempt_at: str | None = Field(description="When it is tried next")


class WebhookMessage(Answer):
    id: str = Field(description="The webhook-id of every delivery")
    event_type: str
    payload: str = Field(description="What is sent, to the byte: JSON")
    created_at: str
    deliveries: list[WebhookDelivery]


class WebhookMessages(Answer):
    items: list[WebhookMessage]
    next_token: str | None = Field(description="How to ask for what is older; null: nothing is")


class WebhookAttempt(Answer):
    id: str
    endpoint_id: str
    status_code: int | None = Field(description="null: there was no answer")
    error_code: str | None = Field(description="Why it failed, for programs; null: it did not")
    duration_ms: int
    created_at: str


class WebhookDeliveries(Answer):
    deliveries: int = Field(description="How many are sent")


class WebhookInitializationStatus(Answer):
    organization_id: str
    svix_application_id: str | None = Field(
        description="There is none: messages are sent from here"
    )
    last_error: str | None
    retry_count: float
    created_at: str
    updated_at: str


class WebhookAppPortalAccess(Answer):
    token: str
    url: str


class WebhookStatus(Answer):
    enabled: bool


def creation_of(asked: CreateWebhookEndpoint, **more: str) -> pb.CreateWebhookEndpointRequest:
    return pb.CreateWebhookEndpointRequest(
        url=asked.url,
        description=asked.description or "",
        event_types=asked.event_types or (),
        disabled=asked.enabled is False,
        **more,
    )


def changes_of(asked: UpdateWebhookEndpoint) -> dict[str, Any]:
    """Return the fields that are to change."""
    types = asked.event_types
    return {
        "url": asked.url,
        "description": asked.description,
        "event_types": None if types is None else pb.WebhookEventTypes(names=types),
        "enabled": asked.enabled,
    }


def endpoint_from_proto(said: webhook_pb2.WebhookEndpoint) -> WebhookEndpoint:
    return WebhookEndpoint(**_endpoint(said))


def created_from_proto(said: pb.CreateWebhookEndpointResponse) -> CreatedWebhookEndpoint:
    return CreatedWebhookEndpoint(**_endpoint(said.endpoint), secret=said.secret)


def secret_from_proto(
    said: pb.GetWebhookEndpointSecretResponse | pb.RotateWebhookEndpointSecretResponse,
) -> WebhookSecret:
    until = _moment(said, "previous_secret_until")
    return WebhookSecret(secret=said.secret, previous_secret_until=until)


def message_from_proto(said: webhook_pb2.WebhookMessage) -> WebhookMessage:
    return WebhookMessage(
        id=said.id,
        event_type=said.event_type,
        payload=said.payload,
        created_at=iso(said.create_time),
        deliveries=[
            WebhookDelivery(
                endpoint_id=d.endpoint_id,
                status=_STATUSES[d.status],
                attempts=d.attempts,
                next_attempt_at=_moment(d, "next_attempt_time"),
            )
            for d in said.deliveries
        ],
    )


def attempt_from_proto(said: webhook_pb2.WebhookAttempt) -> WebhookAttempt:
    return WebhookAttempt(
        id=said.id,
        endpoint_id=said.endpoint_id,
        status_code=said.status_code or None,
        error_code=said.error_code or None,
        duration_ms=said.duration_milliseconds,
        created_at=iso(said.create_time),
    )


def initialized(organization_id: str, since: Timestamp) -> WebhookInitializationStatus:
    return WebhookInitializationStatus(
        organization_id=organization_id,
        svix_application_id=None,
        last_error=None,
        retry_count=0,
        created_at=iso(since),
        updated_at=iso(since),
    )


def stamp_of(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _endpoint(said: webhook_pb2.WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": said.id,
        "organization_id": said.organization_id,
        "url": said.url,
        "description": said.description,
        "event_types": list(said.event_types),
        "enabled": said.enabled,
        "disabled_reason": said.disabled_reason or None,
        "failing_since": _moment(said, "failing_since"),
        "previous_secret_until": _moment(said, "previous_secret_until"),
        "created_at": iso(said.create_time),
        "updated_at": iso(said.update_time),
    }


def _moment(said: Any, field: str) -> str | None:
    return iso(getattr(said, field)) if said.HasField(field) else None
