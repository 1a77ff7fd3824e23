"""Which events of orgs revoke."""

from ratoon.events.v1 import event_pb2
from services.auth.events import REVOKING, revoked_by


def test_what_is_watched_for_is_what_revokes() -> None:
    payloads = event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    revoking = set()
    for field in payloads:
        event = event_pb2.Event()
        getattr(event, field.name).SetInParent()
        if revoked_by(event) is not None:
            revoking.add(field.name)
    assert revoking == set(REVOKING)
