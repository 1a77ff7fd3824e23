"""Audit records and filters from and to protobuf; the order of the columns is that of `queries.audit`."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.grpc.wire import from_timestamp
from ratoon.orgs.v1 import audit_pb2
from ratoon.orgs.v1 import audit_service_pb2 as pb
from services.orgs.convert.times import stamp
from services.orgs.domain import uuid_of
from services.orgs.domain.audit import (
    MOST_CONDITIONS,
    MOST_VALUES,
    Comparison,
    Filter,
    FilterInvalid,
    Moment,
    NumberCondition,
    Record,
    RecordInvalid,
    TextCondition,
)

FIELDS = frozenset(
    {
        *("id", "actor_id", "actor_email", "actor_api_key_prefix", "actor_api_key_suffix"),
        *("action", "target_type", "target_id"),
    }
)
_COMPARISONS = {
    pb.COMPARISON_IN: Comparison.IN,
    pb.COMPARISON_NOT_IN: Comparison.NOT_IN,
    pb.COMPARISON_AT_LEAST: Comparison.AT_LEAST,
    pb.COMPARISON_AT_MOST: Comparison.AT_MOST,
    pb.COMPARISON_MORE: Comparison.MORE,
    pb.COMPARISON_LESS: Comparison.LESS,
}
_MANY = (Comparison.IN, Comparison.NOT_IN)
_BOUNDS: tuple[tuple[Literal["from_time", "to_time", "after_time", "before_time"], Comparison], ...]
_BOUNDS = (
    ("from_time", Comparison.AT_LEAST),
    ("to_time", Comparison.AT_MOST),
    ("after_time", Comparison.MORE),
    ("before_time", Comparison.LESS),
)


def record_to_proto(row: Any) -> audit_pb2.AuditRecord:
    id_, created, organization_id, status, metadata, *texts = row
    actor, email, prefix, suffix, action, type_, target, error, address, agent, source = texts
    return audit_pb2.AuditRecord(
        id=id_,
        create_time=stamp(created),
        actor_id=actor,
        actor_email=email,
        actor_api_key_prefix=prefix,
        actor_api_key_suffix=suffix,
        organization_id=organization_id,
        action=action,
        target_type=type_,
        target_id=target,
        status_code=status,
        error_message=error,
        ip_address=address,
        user_agent=agent,
        source=source,
        metadata=metadata,
    )


def record_from_proto(said: audit_pb2.AuditRecord) -> Record:
    """Return a record that a gateway made. Refused with RECORD_INVALID."""
    id_ = uuid_of(said.id)
    if id_ is None or not said.action or not said.HasField("create_time"):
        raise RecordInvalid("a record has a UUID, a moment and an action")
    at = _moment(said.create_time)
    return Record(
        id=id_,
        created_at=at.replace(microsecond=at.microsecond // 1000 * 1000),
        organization_id=uuid_of(said.organization_id),
        actor_id=_storable(said.actor_id),
        actor_email=_storable(said.actor_email),
        actor_api_key_prefix=_storable(said.actor_api_key_prefix),
        actor_api_key_suffix=_storable(said.actor_api_key_suffix),
        action=_storable(said.action),
        target_type=_storable(said.target_type),
        target_id=_storable(said.target_id),
        status_code=max(0, said.status_code),
        error_message=_storable(said.error_message),
        ip_address=_storable(said.ip_address),
        user_agent=_storable(said.user_agent),
        source=_storable(said.source),
        metadata=_metadata(said.metadata),
    )


def filter_from_proto(asked: pb.AuditFilter) -> Filter:
    """Return the conditions. Refused with FILTER_INVALID."""
    if max(len(asked.texts), len(asked.status_codes)) > MOST_CONDITIONS:
        raise FilterInvalid(f"at most {MOST_CONDITIONS} conditions", most=str(MOST_CONDITIONS))
    moments = (
        Moment(comparison, _bound(getattr(asked, name)))
        for name, comparison in _BOUNDS
        if asked.HasField(name)
    )
    return Filter(
        tuple(moments),
        tuple(_text(c) for c in asked.texts),
        tuple(_number(c) for c in asked.status_codes),
    )


def _text(asked: pb.TextCondition) -> TextCondition:
    if asked.field not in FIELDS:
        raise FilterInvalid(f"{asked.field} cannot be filtered by", field=asked.field)
    _check_number_of(asked.values)
    # What no record can hold cannot be compared with either.
    values = tuple(v for v in asked.values if "\x00" not in v)
    return TextCondition(asked.field, values, asked.negated)


def _number(asked: pb.NumberCondition) -> NumberCondition:
    comparison = _COMPARISONS.get(asked.comparison)
    if comparison is None:
        raise FilterInvalid("the status must be compared somehow")
    _check_number_of(asked.values)
    if comparison not in _MANY and len(asked.values) != 1:
        raise FilterInvalid("this comparison takes one value")
    return NumberCondition(comparison, tuple(asked.values))


def _check_number_of(values: Any) -> None:
    if len(values) > MOST_VALUES:
        raise FilterInvalid(f"at most {MOST_VALUES} values", most=str(MOST_VALUES))


def _bound(said: Timestamp) -> datetime:
    try:
        return from_timestamp(said)
    except (ValueError, OverflowError):
        raise FilterInvalid("the moment is out of range") from None


def _moment(said: Timestamp) -> datetime:
    try:
        return from_timestamp(said)
    except (ValueError, OverflowError):
        raise RecordInvalid("the moment is out of range") from None


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd")


def _metadata(text: str) -> str | None:
    if not text:
        return None
    try:
        found = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        raise RecordInvalid("metadata is a JSON object") from None
    return text.replace(r"\u0000", r"\ufffd") if found else None
