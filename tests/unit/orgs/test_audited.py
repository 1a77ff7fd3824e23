"""Which events become lines of the audit log, and what those say."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.grpc.wire import to_timestamp
from ratoon.events.v1 import event_pb2 as pb
from services.orgs.convert.audited import record_of
from services.orgs.domain.audit import status_of

ORG = "0b6b3c0e-2f65-4a51-9d3c-6d0d5b1c9a11"
AT = datetime(2026, 5, 4, 3, 2, 1, 987_654, tzinfo=UTC)
PERSON = pb.Origin(
    user_id="u1",
    email="u1@example.com",
    api_key_prefix="dtn",
    api_key_suffix="abc",
    request_id="r",
    source_address="203.0.113.9",
    user_agent="curl",
    source="cli",
)
MACHINE, SYSTEM = pb.Origin(service="auth"), pb.Origin()


def event(origin: pb.Origin = PERSON, cursor: str = "7-1", **payload: Any) -> pb.Event:
    return pb.Event(
        cursor=cursor,
        create_time=to_timestamp(AT),
        organization_id=ORG,
        origin=origin,
        **payload,
    )


def moved(old: str, new: str, origin: pb.Origin = PERSON) -> pb.Event:
    changed = pb.SnapshotStateChanged(snapshot_id="s", name="n", old_state=old, new_state=new)
    return event(origin, snapshot_state_changed=changed)


CREATED = pb.OrganizationCreated(organization_id=ORG, name="Shop")


@pytest.mark.parametrize(
    ("told", "action", "target", "id_", "status", "metadata"),
    [
        (
            event(audited=pb.Audited(action="update_access", target_type="organization_user", target_id="u2", metadata='{"role": "owner"}')),
            *("update_access", "organization_user", "u2", 200, {"role": "owner"}),
        ),
        (
            event(api_key_created=pb.ApiKeyCreated(api_key_id="k", user_id="u1", name="ci", permissions=["a"])),
            *("create", "api_key", "ci", 201, {"userId": "u1", "permissions": ["a"]}),
        ),
        (
            event(api_key_deleted=pb.ApiKeyDeleted(api_key_id="k", user_id="u1", name="ci")),
            *("delete", "api_key", "ci", 204, {"userId": "u1"}),
        ),
        (event(organization_created=CREATED), "create", "organization", ORG, 201, {"name": "Shop"}),
        (
            event(organization_deleted=pb.OrganizationDeleted(organization_id=ORG)),
            *("delete", "organization", ORG, 204, None),
        ),
        (
            event(snapshot_created=pb.SnapshotCreated(snapshot_id="s", name="n", state="pending")),
            *("create", "snapshot", "s", 200, {"name": "n"}),
        ),
        (
            event(snapshot_version_created=pb.SnapshotVersionCreated(snapshot_id="s", name="n", number=2, image="a:2")),
            *("update", "snapshot", "s", 200, {"name": "n", "version": 2, "image": "a:2"}),
        ),
        (
            event(snapshot_version_activated=pb.SnapshotVersionActivated(snapshot_id="s", name="n", old_number=2, number=1, ref="a@b", rolled_back=True)),
            *("update", "snapshot", "s", 200, {"name": "n", "version": 1, "was": 2, "ref": "a@b", "rollback": True}),
        ),
        (
            event(snapshot_shared=pb.SnapshotShared(snapshot_id="s", name="n", owner_id=ORG, receiver_id="o2", rights=["read"])),
            *("update_access", "snapshot", "s", 200, {"name": "n", "sharedWith": "o2", "rights": ["read"]}),
        ),
        (
            event(snapshot_shared=pb.SnapshotShared(snapshot_id="s", name="n", owner_id="o2", receiver_id=ORG, rights=["read", "use"], expires_at="2027")),
            *("update_access", "snapshot", "s", 200),
            {"name": "n", "sharedBy": "o2", "rights": ["read", "use"], "expiresAt": "2027"},
        ),
        (
            event(snapshot_unshared=pb.SnapshotUnshared(snapshot_id="s", name="n", owner_id="o2", receiver_id=ORG, cause="declined")),
            *("update_access", "snapshot", "s", 204, {"name": "n", "sharedBy": "o2", "rights": [], "cause": "declined"}),
        ),
        (moved("active", "removing"), "delete", "snapshot", "s", 200, {"name": "n"}),
        (moved("inactive", "removing"), "delete", "snapshot", "s", 200, {"name": "n"}),
        (moved("active", "inactive"), "deactivate", "snapshot", "s", 204, {"name": "n"}),
        (moved("pulling", "inactive"), "deactivate", "snapshot", "s", 204, {"name": "n"}),
        (moved("inactive", "active"), "activate", "snapshot", "s", 200, {"name": "n"}),
        (moved("inactive", "pending"), "activate", "snapshot", "s", 200, {"name": "n"}),
        (moved("error", "pending"), "activate", "snapshot", "s", 200, {"name": "n"}),
        (moved("build_failed", "building"), "activate", "snapshot", "s", 200, {"name": "n"}),
    ],
)  # fmt: skip
def test_what_was_done_is_told(
    told: pb.Event, action: str, target: str, id_: str, status: int, metadata: object
) -> None:
    record = record_of("auth", told)
    assert record is not None
    said = (record.action, record.target_type, record.target_id, record.status_code)
    assert said == (action, target, id_, status)
    assert (json.loads(record.metadata) if record.metadata else None) == metadata
    assert record.created_at == AT.replace(microsecond=987_000)
    assert record.organization_id == UUID(ORG)
    assert (record.actor_id, record.actor_email) == ("u1", "u1@example.com")
    assert (record.actor_api_key_prefix, record.actor_api_key_suffix) == ("dtn", "abc")
    assert (record.ip_address, record.user_agent, record.source) == ("203.0.113.9", "curl", "cli")
    assert record.error_message == ""


@pytest.mark.parametrize(
    "told",
    [
        event(),
        event(user_changed=pb.UserChanged(user_id="u1")),
        event(caller_revoked=pb.CallerRevoked(user_id="u1")),
        event(organization_changed=pb.OrganizationChanged(organization_id=ORG)),
        event(membership_changed=pb.MembershipChanged(organization_id=ORG, user_id="u1")),
        event(membership_ended=pb.MembershipEnded(organization_id=ORG, user_id="u1")),
        event(snapshot_removed=pb.SnapshotRemoved(snapshot_id="s")),
        # Its making tells that already.
        event(snapshot_version_activated=pb.SnapshotVersionActivated(snapshot_id="s", number=2)),
        # Nobody asked for a personal organization, nor for what a worker does.
        event(MACHINE, organization_created=CREATED),
        moved("pending", "pulling"),
        moved("pulling", "active", SYSTEM),
        moved("active", "inactive", SYSTEM),
        moved("active", "removing", SYSTEM),
    ],
)
def test_what_is_nobodys_act_is_not_told(told: pb.Event) -> None:
    assert record_of("orgs", told) is None


def test_a_version_that_a_worker_brought_is_told() -> None:
    now = pb.SnapshotVersionActivated(snapshot_id="s", name="n", old_number=1, number=2, ref="a@b")
    record = record_of("snapshots", event(SYSTEM, snapshot_version_activated=now))
    assert record is not None
    assert (record.action, record.actor_id) == ("update", "system")
    assert json.loads(record.metadata or "") == {"name": "n", "version": 2, "was": 1, "ref": "a@b"}


def test_an_event_is_always_the_same_line_and_no_other_ones() -> None:
    audited = pb.Audited(action="update", target_type="region")
    one = record_of("auth", event(audited=audited))
    assert one == record_of("auth", event(audited=audited))
    others = [
        record_of("orgs", event(audited=audited)),
        record_of("auth", event(cursor="7-2", audited=audited)),
    ]
    assert len({r.id for r in (one, *others) if r is not None}) == 3


def test_who_is_a_machine_or_the_system() -> None:
    audited = pb.Audited(action="update", target_type="region")
    for origin, actor in ((MACHINE, "auth"), (SYSTEM, "system")):
        record = record_of("auth", event(origin, audited=audited))
        assert record is not None
        assert record.actor_id == actor


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("", None),
        ("{}", None),
        ("[1]", {"given": [1]}),
        ("{", {"given": "{"}),
        (r'{"a": "x\u0000y"}', {"a": "x\ufffdy"}),
        ("[" * 100_000, {"given": "[" * 100_000}),
    ],
    ids=range(6),
)
def test_particulars_never_hold_the_log_back(given_: str, kept: object) -> None:
    record = record_of("auth", event(audited=pb.Audited(action="update", metadata=given_)))
    assert record is not None
    assert (json.loads(record.metadata) if record.metadata else None) == kept


@given(st.text(), st.text())
def test_no_text_holds_the_log_back(organization_id: str, metadata: str) -> None:
    told = event(audited=pb.Audited(action="update", metadata=metadata))
    told.organization_id = organization_id
    record = record_of("auth", told)
    assert record is not None
    assert "\\u0000" not in (record.metadata or "")


@pytest.mark.parametrize(
    ("action", "target", "status"),
    [
        ("create", "organization_role", 201),
        ("create_region_quota", "organization", 201),
        ("delete", "organization_invitation", 204),
        ("delete_otel_config", "organization", 204),
        ("leave_organization", "", 204),
        ("suspend", "organization", 204),
        ("accept", "organization_invitation", 200),
        ("decline", "organization_invitation", 204),
        ("regenerate_proxy_api_key", "region", 200),
        ("update", "organization", 200),
    ],
)
def test_the_status_is_what_the_api_declares(action: str, target: str, status: int) -> None:
    assert status_of(action, target) == status
