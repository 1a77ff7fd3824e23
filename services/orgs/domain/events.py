"""What happened here and is written into the audit log, when no other event says it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Audited:
    action: str
    target_type: str = ""
    target_id: str = ""
    metadata: str = ""
