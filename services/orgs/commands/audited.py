"""What is done, for the audit log."""

from typing import Any

import msgspec

from services.orgs.domain.events import Audited

_encode = msgspec.json.Encoder().encode


def audited(action: str, target_type: str = "", target_id: object = "", **body: Any) -> Audited:
    """Return the event that says it, in the published words; `body` is what was asked for, without secrets."""
    metadata = _encode({"body": body}).decode() if body else ""
    return Audited(action, target_type, str(target_id), metadata)
