"""Endpoints, messages and attempts from and to protobuf."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from chassis.grpc.wire import from_timestamp, to_timestamp
from chassis.pages import PageTokenInvalid, position_of, token_of
from ratoon.orgs.v1 import webhook_pb2
from ratoon.orgs.v1 import webhook_service_pb2 as pb
from services.orgs.domain import uuid_of
from services.orgs.domain.webhooks import (
    MOST_MESSAGES,
    DeliveryStatus,
    EndpointNotFound,
    PageInvalid,
    Reach,
    fit_description,
    fit_types,
    fit_url,
)
from services.orgs.queries.webhooks import Wanted
from services.orgs.tables import WebhookDelivery, WebhookEndpoint, WebhookMessage

_STATUS = {
    DeliveryStatus.PENDING: webhook_pb2.WEBHOOK_DELIVERY_STATUS_PENDING,
    DeliveryStatus.DELIVERED: webhook_pb2.WEBHOOK_DELIVERY_STATUS_DELIVERED,
    DeliveryStatus.FAILED: webhook_pb2.WEBHOOK_DELIVERY_STATUS_FAILED,
}
_FROM_STATUS = {number: status for status, number in _STATUS.items()}


def endpoint_to_proto(endpoint: WebhookEndpoint, now: datetime) -> webhook_pb2.WebhookEndpoint:
    until = endpoint.previous_secret_until
    return webhook_pb2.WebhookEndpoint(
        id=str(endpoint.id),
        create_time=to_timestamp(endpoint.created_at),
        update_time=to_timestamp(endpoint.updated_at),
        organization_id=str(endpoint.organization_id),
        url=endpoint.url,
        description=endpoint.description,
        event_types=endpoint.types,
        enabled=endpoint.enabled,
        disabled_reason=endpoint.disabled_reason,
        failing_since=to_timestamp(endpoint.failing_since) if endpoint.failing_since else None,
        previous_secret_until=to_timestamp(until) if until is not None and until > now else None,
        revision=endpoint.revision,
    )


def message_to_proto(
    message: WebhookMessage, deliveries: Iterable[WebhookDelivery]
) -> webhook_pb2.WebhookMessage:
    return webhook_pb2.WebhookMessage(
        id=message.id,
        create_time=to_timestamp(message.created_at),
        event_type=message.type,
        payload=message.payload,
        deliveries=[_delivery(d) for d in deliveries],
    )


def attempt_to_proto(row: Any) -> webhook_pb2.WebhookAttempt:
    id_, began, endpoint_id, status, error, milliseconds = row
    return webhook_pb2.WebhookAttempt(
        id=str(id_),
        create_time=to_timestamp(began),
        endpoint_id=str(endpoint_id),
        status_code=status,
        error_code=error,
        duration_milliseconds=milliseconds,
    )


def page_from_proto(request: pb.ListWebhookMessagesRequest) -> Wanted:
    """Return what is wanted. Refused with WEBHOOK_PAGE_INVALID or PAGE_TOKEN_INVALID."""
    if not 1 <= request.page_size <= MOST_MESSAGES:
        raise PageInvalid(f"a page holds 1 to {MOST_MESSAGES} messages", most=str(MOST_MESSAGES))
    endpoint_id = uuid_of(request.endpoint_id)
    if request.endpoint_id and endpoint_id is None:
        raise EndpointNotFound
    return Wanted(
        limit=request.page_size,
        after=_position(request.page_token),
        event_type=request.event_type.replace("\x00", "\ufffd"),
        endpoint_id=endpoint_id,
        status=_FROM_STATUS.get(request.status),
    )


def token_for(message: WebhookMessage) -> str:
    return token_of(message.created_at.isoformat(), message.id)


def columns_from_proto(request: pb.UpdateWebhookEndpointRequest, reach: Reach) -> dict[str, Any]:
    """Return the columns that are to change, checked."""
    changes: dict[str, Any] = {}
    if request.HasField("url"):
        changes["url"] = fit_url(request.url, reach)
    if request.HasField("description"):
        changes["description"] = fit_description(request.description)
    if request.HasField("event_types"):
        changes["types"] = fit_types(request.event_types.names)
    return changes


def since_from_proto(request: pb.RecoverWebhookEndpointRequest) -> datetime:
    try:
        return from_timestamp(request.since)
    except (ValueError, OverflowError):
        raise PageInvalid("the moment is out of range") from None


def _position(token: str) -> tuple[datetime, str] | None:
    found = position_of(token, str, str)
    if found is None:
        return None
    try:
        at = datetime.fromisoformat(found[0])
    except ValueError:
        raise PageTokenInvalid from None
    if at.tzinfo is None:
        raise PageTokenInvalid
    return at, found[1]


def _delivery(delivery: WebhookDelivery) -> webhook_pb2.WebhookDelivery:
    pending = delivery.status is DeliveryStatus.PENDING
    return webhook_pb2.WebhookDelivery(
        endpoint_id=str(delivery.endpoint_id),
        status=_STATUS[delivery.status],
        attempts=delivery.attempts,
        next_attempt_time=to_timestamp(delivery.due_at) if pending else None,
    )
