"""Events of the snapshots context as listeners are told of them."""

from collections.abc import Iterable

from gateway.live.packets import event as packet
from gateway.schemas.snapshots import snapshot_json
from ratoon.events.v1 import event_pb2
from ratoon.snapshots.v1 import snapshot_pb2

# What is watched for, by the names of the payload's fields.
_WHOLE = ("snapshot_created", "snapshot_state_changed", "snapshot_removed")
TYPES = (*_WHOLE, "snapshot_shared", "snapshot_unshared")
_RANK = {type_: rank for rank, type_ in enumerate(_WHOLE)}
_STATES = {
    number.name.removeprefix("SNAPSHOT_STATE_").lower(): number.number
    for number in snapshot_pb2.SnapshotState.DESCRIPTOR.values
}


def in_order(events: Iterable[event_pb2.Event]) -> list[event_pb2.Event]:
    """Return events in the order in which they happened: transactions overlap, changes of one snapshot do not."""
    return sorted(events, key=_moment)


def text_of(event: event_pb2.Event) -> str:
    """Return what listeners are sent."""
    match event.WhichOneof("payload"):
        case "snapshot_created":
            made = event.snapshot_created
            snapshot = _shown(event, made.snapshot_id, made.name, made.state, made.seen)
            return packet("snapshot.created", snapshot_json(snapshot))
        case "snapshot_state_changed":
            moved = event.snapshot_state_changed
            snapshot = _shown(event, moved.snapshot_id, moved.name, moved.new_state, moved.seen)
            said = {
                "snapshot": snapshot_json(snapshot),
                "oldState": moved.old_state,
                "newState": moved.new_state,
            }
            return packet("snapshot.state.updated", said)
        case "snapshot_removed":
            gone = event.snapshot_removed
            snapshot = _shown(event, gone.snapshot_id, gone.name, "removing", gone.seen)
            return packet("snapshot.removed", snapshot_json(snapshot))
        case "snapshot_shared":
            share = event.snapshot_shared
            terms = {"rights": list(share.rights), "expiresAt": share.expires_at or None}
            return packet("snapshot.shared", {**_sides(share), **terms})
        case _:
            ended = event.snapshot_unshared
            return packet("snapshot.unshared", {**_sides(ended), "cause": ended.cause})


def farewell(organization_id: str) -> str:
    """Return what listeners are sent at last when their organization is deleted."""
    return packet("organization.deleted", {"id": organization_id})


def _moment(event: event_pb2.Event) -> tuple[int, int]:
    type_ = event.WhichOneof("payload") or ""
    if type_ not in _RANK:
        return _micros(event), 0
    seen = getattr(event, type_).seen
    return max(_micros(event), seen.update_micros), _RANK[type_]


def _sides(share: event_pb2.SnapshotShared | event_pb2.SnapshotUnshared) -> dict[str, str]:
    return {
        "id": share.snapshot_id,
        "name": share.name,
        "ownerId": share.owner_id,
        "receiverId": share.receiver_id,
    }


def _shown(
    event: event_pb2.Event, id_: str, name: str, state: str, seen: event_pb2.SnapshotSeen
) -> snapshot_pb2.Snapshot:
    created = seen.create_micros or _micros(event)
    snapshot = snapshot_pb2.Snapshot(
        id=id_,
        organization_id=event.organization_id,
        general=seen.general,
        name=name,
        image_ref=seen.image_ref,
        state=_STATES[state],  # type: ignore[arg-type]  # the number of a state
        entrypoint=seen.entrypoint,
        cpu=seen.cpu,
        gpu=seen.gpu,
        memory=seen.memory,
        disk=seen.disk,
        region_ids=seen.region_ids,
        ref=seen.ref,
        source_sandbox_id=seen.source_sandbox_id,
        version=seen.version,
        use_count=seen.use_count,
    )
    snapshot.create_time.FromMicroseconds(created)
    snapshot.update_time.FromMicroseconds(seen.update_micros or created)
    if seen.HasField("size_bytes"):
        snapshot.size_bytes = seen.size_bytes
    if seen.HasField("last_use_micros"):
        snapshot.last_use_time.FromMicroseconds(seen.last_use_micros)
    if seen.failure_code:
        failure = snapshot.failure
        failure.code, failure.reason = seen.failure_code, seen.failure_reason
        failure.remedy = seen.failure_remedy
    if seen.HasField("build"):
        _build(snapshot.build, seen.build)
    return snapshot


def _build(shown: snapshot_pb2.BuildInfo, seen: event_pb2.BuildSeen) -> None:
    shown.dockerfile, shown.ref = seen.dockerfile, seen.ref
    shown.context_hashes.extend(seen.context_hashes)
    shown.create_time.FromMicroseconds(seen.create_micros)
    shown.update_time.FromMicroseconds(seen.update_micros)


def _micros(event: event_pb2.Event) -> int:
    return event.create_time.seconds * 1_000_000 + event.create_time.nanos // 1_000
