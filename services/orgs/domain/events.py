"""What this context tells the other contexts; names and fields as in ratoon.events.v1."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Audited:
    action: str
    target_type: str = ""
    target_id: str = ""
    metadata: str = ""
