"""Counts in fixed windows of this process alone."""

import math
import time

SUBJECTS = 20_000


class Windows:
    """Counts by subject in fixed windows; forgets the oldest subjects when there are too many."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._counted: dict[str, tuple[float, int]] = {}

    def hit(self, subject: str) -> tuple[int, int]:
        """Count one; return how many there are in this window and how many seconds it still lasts."""
        now = time.monotonic()
        ends, count = self._counted.get(subject, (0.0, 0))
        if ends <= now:
            # Moved to the young end, so that the front of the dictionary is the oldest.
            self._counted.pop(subject, None)
            if len(self._counted) >= SUBJECTS:
                del self._counted[next(iter(self._counted))]
            ends, count = now + self._seconds, 0
        self._counted[subject] = (ends, count + 1)
        return count + 1, math.ceil(ends - now)
