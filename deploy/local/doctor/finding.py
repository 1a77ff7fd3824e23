"""What was looked at, and what was seen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what it is, what was seen and, when that is wrong, what to do."""

    about: str
    seen: str
    remedy: str = ""

    @property
    def fine(self) -> bool:
        return not self.remedy
