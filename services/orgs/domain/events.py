"""What orgs tells the audit log and no other event says; the other events stand beside what they are about."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Audited:
    action: str
    target_type: str = ""
    target_id: str = ""
    metadata: str = ""
