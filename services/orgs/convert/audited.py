"""Events of all contexts to lines of the audit log: which there are, and what each says."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec

from chassis.grpc.wire import from_timestamp
from ratoon.events.v1 import event_pb2
from services.orgs.domain import uuid_of
from services.orgs.domain.audit import Record, status_of

# Names the ids of records, which are made of the events' places.
_NAMESPACE = UUID("8f3f0d3c-6a47-4b0e-9c35-5c8f4f7f6e11")
SYSTEM = "system"
# From where a snapshot comes back only when somebody asks for it.
_OUT_OF_USE = ("inactive", "error", "build_failed")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
# action, target type, target id, particulars
Said = tuple[str, str, str, dict[str, Any]]


def record_of(context: str, event: event_pb2.Event) -> Record | None:
    """Return the line that tells of an event of a context; None: it does not belong into the log.

    The same event always makes the same line, with the same id.
    """
    type_ = event.WhichOneof("payload") or ""
    tell = _TELLS.get(type_)
    said = tell(event) if tell else None
    if said is None:
        return None
    action, target_type, target_id, particulars = said
    origin, created_at = event.origin, from_timestamp(event.create_time)
    return Record(
        id=uuid5(_NAMESPACE, f"{context} {event.cursor} {created_at.isoformat()}"),
        # As precise as the API shows it, so that whoever asks up to a moment that was shown gets it.
        created_at=created_at - timedelta(microseconds=created_at.microsecond % 1000),
        organization_id=uuid_of(event.organization_id),
        actor_id=origin.user_id or origin.service or SYSTEM,
        actor_email=origin.email,
        actor_api_key_prefix=origin.api_key_prefix,
        actor_api_key_suffix=origin.api_key_suffix,
        action=action,
        target_type=target_type,
        target_id=target_id,
        status_code=_STATUS.get(type_) or status_of(action, target_type),
        error_message="",
        ip_address=origin.source_address,
        user_agent=origin.user_agent,
        source=origin.source,
        metadata=_encode(particulars).decode() if particulars else None,
    )


def _audited(event: event_pb2.Event) -> Said:
    told = event.audited
    return told.action, told.target_type, told.target_id, _particulars(told.metadata)


def _api_key_created(event: event_pb2.Event) -> Said:
    key = event.api_key_created
    particulars = {"userId": key.user_id, "permissions": list(key.permissions)}
    return "create", "api_key", key.name, particulars


def _api_key_deleted(event: event_pb2.Event) -> Said:
    key = event.api_key_deleted
    return "delete", "api_key", key.name, {"userId": key.user_id}


def _organization_created(event: event_pb2.Event) -> Said | None:
    """A personal organization is nobody's act: it comes with its owner's first login."""
    made = event.organization_created
    if not _by_person(event):
        return None
    return "create", "organization", made.organization_id, {"name": made.name}


def _organization_deleted(event: event_pb2.Event) -> Said:
    return "delete", "organization", event.organization_deleted.organization_id, {}


def _snapshot_created(event: event_pb2.Event) -> Said:
    made = event.snapshot_created
    return "create", "snapshot", made.snapshot_id, {"name": made.name}


def _snapshot_moved(event: event_pb2.Event) -> Said | None:
    """Only what a person asked for; that a snapshot is gone at last is told by nobody's request."""
    moved = event.snapshot_state_changed
    if not _by_person(event):
        return None
    if moved.new_state == "removing":
        action = "delete"
    elif moved.new_state == "inactive":
        action = "deactivate"
    elif moved.old_state in _OUT_OF_USE:
        action = "activate"
    else:
        return None
    return action, "snapshot", moved.snapshot_id, {"name": moved.name}


def _snapshot_shared(event: event_pb2.Event) -> Said:
    told = event.snapshot_shared
    particulars = {"name": told.name, **_other(event, told), "rights": list(told.rights)}
    if told.expires_at:
        particulars["expiresAt"] = told.expires_at
    return "update_access", "snapshot", told.snapshot_id, particulars


def _snapshot_unshared(event: event_pb2.Event) -> Said:
    told = event.snapshot_unshared
    particulars = {"name": told.name, **_other(event, told), "rights": [], "cause": told.cause}
    return "update_access", "snapshot", told.snapshot_id, particulars


def _other(
    event: event_pb2.Event, told: event_pb2.SnapshotShared | event_pb2.SnapshotUnshared
) -> dict[str, str]:
    """Name the other side: both sides of a share have the line in their log."""
    if event.organization_id == told.receiver_id:
        return {"sharedBy": told.owner_id}
    return {"sharedWith": told.receiver_id}


def _version_created(event: event_pb2.Event) -> Said:
    made = event.snapshot_version_created
    particulars = {"name": made.name, "version": made.number, "image": made.image}
    return "update", "snapshot", made.snapshot_id, particulars


def _version_activated(event: event_pb2.Event) -> Said | None:
    """That somebody's new version was there at once is told by its making."""
    now = event.snapshot_version_activated
    if _by_person(event) and not now.rolled_back:
        return None
    particulars = {"name": now.name, "version": now.number, "was": now.old_number, "ref": now.ref}
    if now.rolled_back:
        particulars["rollback"] = True
    return "update", "snapshot", now.snapshot_id, particulars


_TELLS: dict[str, Callable[[event_pb2.Event], Said | None]] = {
    "audited": _audited,
    "api_key_created": _api_key_created,
    "api_key_deleted": _api_key_deleted,
    "organization_created": _organization_created,
    "organization_deleted": _organization_deleted,
    "snapshot_created": _snapshot_created,
    "snapshot_state_changed": _snapshot_moved,
    "snapshot_shared": _snapshot_shared,
    "snapshot_unshared": _snapshot_unshared,
    "snapshot_version_created": _version_created,
    "snapshot_version_activated": _version_activated,
}
# Answered otherwise than other changes of that name.
_STATUS = {"snapshot_unshared": 204}


def _by_person(event: event_pb2.Event) -> bool:
    return bool(event.origin.user_id)


def _particulars(text: str) -> dict[str, Any]:
    """Return what was given; what is no JSON object is kept as it is."""
    if not text:
        return {}
    # No database takes a NUL, however it is written.
    text = text.replace("\0", "\ufffd").replace(r"\u0000", r"\ufffd")
    try:
        found = _decode(text)
    except (msgspec.DecodeError, RecursionError):
        found = text
    return found if isinstance(found, dict) else {"given": found}
