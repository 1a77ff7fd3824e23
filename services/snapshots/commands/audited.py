"""What is done to snapshots, for the audit log, where no other event says it."""

from typing import Any
from uuid import UUID

import msgspec

from services.snapshots.domain import Audited

_encode = msgspec.json.Encoder().encode


def audited(action: str, snapshot_id: UUID, **body: Any) -> Audited:
    """Return the event that says it, in the published words; `body` is what was asked for, or why it was done."""
    return Audited(action, "snapshot", str(snapshot_id), _encode({"body": body}).decode())
