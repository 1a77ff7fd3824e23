"""How patient the worker is."""

import random
from dataclasses import dataclass
from datetime import timedelta

from services.snapshots.domain import VERSIONS_KEPT

# Nothing is missed without it; it is there for the day when something was.
SAFETY_POLL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds, but for the last and `attempts`: how often one pull is tried in all before what may pass is final."""

    lease: float = 15.0
    deadline: float = 3600.0
    attempts: int = 6
    first_delay: float = 2.0
    longest_delay: float = 60.0
    # How many versions of a snapshot keep their bytes, the current one among them.
    versions_kept: int = VERSIONS_KEPT

    def delay(self, attempt: int, asked: float | None) -> timedelta:
        """Return how long to wait after a failed attempt; never less than the registry asked for."""
        most = min(self.first_delay * 2 ** min(attempt - 1, 30), self.longest_delay)
        return timedelta(seconds=max(asked or 0.0, most / 2) + random.uniform(0, most / 2))
