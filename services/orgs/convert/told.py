"""Events of all contexts to webhook messages: which there are, and what each says."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.grpc.wire import from_timestamp
from ratoon.events.v1 import event_pb2
from services.orgs.domain import uuid_of
from services.orgs.domain.webhooks import Message

# Names the ids of messages, which are made of the events' places.
_NAMESPACE = UUID("2d1f6f0c-3a57-4a55-9d0e-2f6a1d4c9b18")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
# type, id of what it is about, particulars
Said = tuple[str, str, dict[str, Any]]
_ANSWERS = {
    "create": "invitation.created",
    "update": "invitation.updated",
    "delete": "invitation.cancelled",
    "accept": "invitation.accepted",
    "decline": "invitation.declined",
}
# Of what happens to a snapshot at one moment, what comes first.
_RANK = {"snapshot_created": 0, "snapshot_state_changed": 1, "snapshot_removed": 2}
_OF_INVITATIONS = ("email", "role", "assignedRoleIds", "expiresAt")


def messages_of(context: str, events: Sequence[event_pb2.Event], now: datetime) -> list[Message]:
    """Return what is told of these events of a context, in the order in which it happened.

    The same event always makes a message with the same id.
    """
    found = []
    for place, event in enumerate(sorted(events, key=_moment)):
        organization_id = uuid_of(event.organization_id)
        tell = _TELLS.get(event.WhichOneof("payload") or "")
        said = tell(event) if tell and organization_id is not None else None
        if said is not None and organization_id is not None:
            made = now + place * _MICROSECOND
            found.append(_message(context, event, organization_id, said, made))
    return found


def _moment(event: event_pb2.Event) -> tuple[int, int]:
    """Return when it happened: changes of one snapshot wait for each other, but transactions overlap."""
    payload = event.WhichOneof("payload") or ""
    happened = _micros(event.create_time)
    if payload not in _RANK:
        return happened, 0
    return max(happened, getattr(event, payload).seen.update_micros), _RANK[payload]


def _message(
    context: str, event: event_pb2.Event, organization_id: UUID, said: Said, made: datetime
) -> Message:
    type_, id_, particulars = said
    happened = from_timestamp(event.create_time)
    payload = {
        "event": type_,
        "timestamp": _iso(made),
        "id": id_,
        "organizationId": str(organization_id),
        **particulars,
    }
    place = f"{context} {event.cursor} {happened.isoformat()}"
    message_id = f"msg_{uuid5(_NAMESPACE, place).hex}"
    written = _encode(payload).decode()
    return Message(message_id, organization_id, type_, written, happened, made)


def _snapshot_created(event: event_pb2.Event) -> Said:
    made = event.snapshot_created
    created = made.seen.create_micros or _micros(event.create_time)
    particulars = {"name": made.name, "state": made.state, "createdAt": _shown(created)}
    return "snapshot.created", made.snapshot_id, particulars


def _snapshot_moved(event: event_pb2.Event) -> Said:
    moved = event.snapshot_state_changed
    updated = moved.seen.update_micros or _micros(event.create_time)
    particulars = {
        "name": moved.name,
        "oldState": moved.old_state,
        "newState": moved.new_state,
        "updatedAt": _shown(updated),
    }
    return "snapshot.state.updated", moved.snapshot_id, particulars


def _snapshot_removed(event: event_pb2.Event) -> Said:
    gone = event.snapshot_removed
    particulars = {"name": gone.name, "removedAt": _shown(_micros(event.create_time))}
    return "snapshot.removed", gone.snapshot_id, particulars


def _snapshot_shared(event: event_pb2.Event) -> Said:
    share = event.snapshot_shared
    terms = {"rights": list(share.rights), "expiresAt": share.expires_at or None}
    return "snapshot.shared", share.snapshot_id, {**_sides(share), **terms}


def _snapshot_unshared(event: event_pb2.Event) -> Said:
    ended = event.snapshot_unshared
    return "snapshot.unshared", ended.snapshot_id, {**_sides(ended), "cause": ended.cause}


def _sides(share: event_pb2.SnapshotShared | event_pb2.SnapshotUnshared) -> dict[str, str]:
    return {"name": share.name, "ownerId": share.owner_id, "receiverId": share.receiver_id}


def _organization_changed(event: event_pb2.Event) -> Said:
    changed = event.organization_changed
    fields = {"fields": list(changed.fields)}
    return "organization.updated", changed.organization_id, fields


def _membership_changed(event: event_pb2.Event) -> Said:
    changed = event.membership_changed
    type_ = "member.added" if changed.began else "member.updated"
    return type_, changed.user_id, {"userId": changed.user_id}


def _membership_ended(event: event_pb2.Event) -> Said:
    user_id = event.membership_ended.user_id
    return "member.removed", user_id, {"userId": user_id}


def _api_key_created(event: event_pb2.Event) -> Said:
    key = event.api_key_created
    particulars = {"name": key.name, "userId": key.user_id, "permissions": list(key.permissions)}
    return "apiKey.created", key.api_key_id, particulars


def _api_key_deleted(event: event_pb2.Event) -> Said:
    key = event.api_key_deleted
    return "apiKey.deleted", key.api_key_id, {"name": key.name, "userId": key.user_id}


def _audited(event: event_pb2.Event) -> Said | None:
    """Of what only the audit log is told, tell what happens to invitations and to keys that stay."""
    told = event.audited
    if told.target_type == "organization_invitation" and told.action in _ANSWERS:
        return _invitation(told)
    if (told.action, told.target_type) == ("update", "api_key"):
        user_id = str(_particulars(told.metadata).get("userId", ""))
        return "apiKey.updated", told.internal_id, {"name": told.target_id, "userId": user_id}
    return None


def _invitation(told: event_pb2.Audited) -> Said:
    body = _particulars(told.metadata).get("body")
    known = body if isinstance(body, dict) else {}
    type_ = "invitation.resent" if known.get("resend") else _ANSWERS[told.action]
    return type_, told.target_id, {k: known[k] for k in _OF_INVITATIONS if k in known}


_TELLS: dict[str, Callable[[event_pb2.Event], Said | None]] = {
    "snapshot_created": _snapshot_created,
    "snapshot_state_changed": _snapshot_moved,
    "snapshot_removed": _snapshot_removed,
    "snapshot_shared": _snapshot_shared,
    "snapshot_unshared": _snapshot_unshared,
    "organization_changed": _organization_changed,
    "membership_changed": _membership_changed,
    "membership_ended": _membership_ended,
    "api_key_created": _api_key_created,
    "api_key_deleted": _api_key_deleted,
    "audited": _audited,
}


def _particulars(text: str) -> dict[str, Any]:
    try:
        return _decode(text) if text else {}
    except (msgspec.DecodeError, RecursionError):
        return {}


def _micros(stamp: Timestamp) -> int:
    return stamp.seconds * 1_000_000 + stamp.nanos // 1_000


def _shown(micros: int) -> str:
    return _iso(_EPOCH + timedelta(microseconds=micros))


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
