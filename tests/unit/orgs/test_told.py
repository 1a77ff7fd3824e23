"""What webhooks tell of which event."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ratoon.events.v1 import event_pb2 as pb
from services.orgs.convert.told import messages_of
from services.orgs.domain.webhooks import DELETED, EVENT_TYPES

ORG = "0c1d2e3f-0000-4000-8000-000000000001"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
STAMP = Timestamp(seconds=1_767_225_600, nanos=123_456_000)
SHOWN = "2026-01-01T00:00:00.123Z"
MICROS = 1_767_225_601_500_000
LATER = "2026-01-01T00:00:01.500Z"


def event(cursor: str = "1-1", organization_id: str = ORG, **payload: Any) -> pb.Event:
    return pb.Event(cursor=cursor, create_time=STAMP, organization_id=organization_id, **payload)


def invitation(action: str, **body: Any) -> pb.Event:
    metadata = json.dumps({"body": body})
    told = pb.Audited(
        action=action, target_type="organization_invitation", target_id="i1", metadata=metadata
    )
    return event(audited=told)


OFFERED = {"email": "a@b.c", "role": "member", "assignedRoleIds": [], "expiresAt": "x"}
TOLD: list[tuple[pb.Event, dict[str, Any]]] = [
    (
        event(snapshot_created=pb.SnapshotCreated(snapshot_id="s", name="n", state="pending")),
        {
            "event": "snapshot.created",
            "id": "s",
            "name": "n",
            "state": "pending",
            "createdAt": SHOWN,
        },
    ),
    (
        event(
            snapshot_state_changed=pb.SnapshotStateChanged(
                snapshot_id="s",
                name="n",
                old_state="pending",
                new_state="pulling",
                seen=pb.SnapshotSeen(update_micros=MICROS),
            )
        ),
        {
            "event": "snapshot.state.updated",
            "id": "s",
            "name": "n",
            "oldState": "pending",
            "newState": "pulling",
            "updatedAt": LATER,
        },
    ),
    (
        event(snapshot_removed=pb.SnapshotRemoved(snapshot_id="s", name="n")),
        {"event": "snapshot.removed", "id": "s", "name": "n", "removedAt": SHOWN},
    ),
    (
        event(
            snapshot_shared=pb.SnapshotShared(
                snapshot_id="s", name="n", owner_id=ORG, receiver_id="r", rights=["read", "use"]
            )
        ),
        {
            "event": "snapshot.shared",
            "id": "s",
            "name": "n",
            "ownerId": ORG,
            "receiverId": "r",
            "rights": ["read", "use"],
            "expiresAt": None,
        },
    ),
    (
        event(
            snapshot_unshared=pb.SnapshotUnshared(
                snapshot_id="s", name="n", owner_id="o", receiver_id=ORG, cause="expired"
            )
        ),
        {
            "event": "snapshot.unshared",
            "id": "s",
            "name": "n",
            "ownerId": "o",
            "receiverId": ORG,
            "cause": "expired",
        },
    ),
    (
        event(organization_changed=pb.OrganizationChanged(organization_id=ORG, fields=["name"])),
        {"event": "organization.updated", "id": ORG, "fields": ["name"]},
    ),
    (
        event(membership_changed=pb.MembershipChanged(user_id="u", began=True)),
        {"event": "member.added", "id": "u", "userId": "u"},
    ),
    (
        event(membership_changed=pb.MembershipChanged(user_id="u")),
        {"event": "member.updated", "id": "u", "userId": "u"},
    ),
    (
        event(membership_ended=pb.MembershipEnded(user_id="u")),
        {"event": "member.removed", "id": "u", "userId": "u"},
    ),
    (invitation("create", **OFFERED), {"event": "invitation.created", "id": "i1", **OFFERED}),
    (invitation("update", **OFFERED), {"event": "invitation.updated", "id": "i1", **OFFERED}),
    (invitation("update", resend=True), {"event": "invitation.resent", "id": "i1"}),
    (
        invitation("delete", email="a@b.c"),
        {"event": "invitation.cancelled", "id": "i1", "email": "a@b.c"},
    ),
    (
        invitation("accept", email="a@b.c"),
        {"event": "invitation.accepted", "id": "i1", "email": "a@b.c"},
    ),
    (
        invitation("decline", email="a@b.c"),
        {"event": "invitation.declined", "id": "i1", "email": "a@b.c"},
    ),
    (
        event(
            api_key_created=pb.ApiKeyCreated(
                api_key_id="k", user_id="u", name="ci", permissions=["write:snapshots"]
            )
        ),
        {
            "event": "apiKey.created",
            "id": "k",
            "name": "ci",
            "userId": "u",
            "permissions": ["write:snapshots"],
        },
    ),
    (
        event(
            audited=pb.Audited(
                action="update",
                target_type="api_key",
                target_id="ci",
                internal_id="k",
                metadata='{"userId": "u", "rotated": true}',
            )
        ),
        {"event": "apiKey.updated", "id": "k", "name": "ci", "userId": "u"},
    ),
    (
        event(api_key_deleted=pb.ApiKeyDeleted(api_key_id="k", user_id="u", name="ci")),
        {"event": "apiKey.deleted", "id": "k", "name": "ci", "userId": "u"},
    ),
]


@pytest.mark.parametrize(("happened", "said"), TOLD, ids=[t[1]["event"] for t in TOLD])
def test_it_is_told(happened: pb.Event, said: dict[str, Any]) -> None:
    (message,) = messages_of("c", [happened], NOW)
    standing = {"timestamp": "2026-01-02T00:00:00.000Z", "organizationId": ORG}
    assert json.loads(message.payload) == {**standing, **said}
    assert message.type == said["event"]


def test_all_that_is_offered_is_told() -> None:
    """The end of an organization is told by the transaction that ends it."""
    assert {*(t[1]["event"] for t in TOLD), DELETED} == set(EVENT_TYPES)


@pytest.mark.parametrize(
    "silent",
    [
        event(audited=pb.Audited(action="update", target_type="organization", target_id=ORG)),
        event(organization_created=pb.OrganizationCreated(organization_id=ORG)),
        event(caller_revoked=pb.CallerRevoked(user_id="u")),
        event(organization_id="", api_key_created=pb.ApiKeyCreated(api_key_id="k")),
        event(),
    ],
)
def test_what_is_not_told(silent: pb.Event) -> None:
    assert messages_of("c", [silent], NOW) == []


def test_an_event_has_one_id_and_different_ones_have_others() -> None:
    one = event(snapshot_removed=pb.SnapshotRemoved(snapshot_id="s"))
    other = event("1-2", snapshot_removed=pb.SnapshotRemoved(snapshot_id="s"))
    ids = {messages_of(c, [e], NOW)[0].id for c in ("a", "b") for e in (one, other)}
    assert len(ids) == 4
    assert messages_of("a", [one], NOW)[0].id == messages_of("a", [one], NOW + timedelta(1))[0].id


def test_changes_of_a_snapshot_are_told_in_the_order_in_which_they_happened() -> None:
    """A transaction that began first may end last, and an event's place is that of the beginning."""

    def moved(cursor: str, new: str, micros: int) -> pb.Event:
        seen = pb.SnapshotSeen(update_micros=micros)
        change = pb.SnapshotStateChanged(snapshot_id="s", new_state=new, seen=seen)
        return event(cursor, snapshot_state_changed=change)

    told = messages_of("c", [moved("1-1", "late", MICROS + 1), moved("2-1", "early", MICROS)], NOW)
    assert [json.loads(m.payload)["newState"] for m in told] == ["early", "late"]
    assert told[0].made < told[1].made
