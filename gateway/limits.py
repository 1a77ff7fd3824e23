"""Limits by counting: failed authentications of an address, requests of an organization."""

import math
import time

from gateway.addresses import limited_as
from gateway.errors import Problem
from gateway.visit import Visit

_SUBJECTS = 20_000


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
            if len(self._counted) >= _SUBJECTS:
                del self._counted[next(iter(self._counted))]
            ends, count = now + self._seconds, 0
        self._counted[subject] = (ends, count + 1)
        return count + 1, math.ceil(ends - now)


class FailedAuthLimit:
    """Answers an address that fails to authenticate too often with 429; who holds a valid credential never meets it."""

    def __init__(self, seconds: float, limit: int) -> None:
        self._windows = Windows(seconds)
        self._limit = limit

    def failed(self, visit: Visit) -> Problem | None:
        """Count a 401; return what to answer instead, if the limit is reached."""
        count, left = self._windows.hit(limited_as(visit.address))
        _say(visit, b"failed-auth", self._limit, count, left)
        if count < self._limit:
            return None
        return _too_many("FAILED_AUTH_LIMIT_REACHED", "too many failed attempts", left)


class AuthenticatedLimit:
    """Gives every organization, or person where none applies, the same number of requests a window."""

    def __init__(self, seconds: float, limit: int) -> None:
        self._windows = Windows(seconds)
        self._limit = limit

    def count(self, visit: Visit, subject: str) -> None:
        """Count a request; refuse it when the window is used up."""
        count, left = self._windows.hit(subject)
        _say(visit, b"authenticated", self._limit, count, left)
        if count > self._limit:
            visit.outgoing.append((b"retry-after-authenticated", b"%d" % left))
            raise _too_many("RATE_LIMIT_REACHED", "too many requests", left)


def _say(visit: Visit, name: bytes, limit: int, count: int, left: int) -> None:
    visit.outgoing += (
        (b"x-ratelimit-limit-" + name, b"%d" % limit),
        (b"x-ratelimit-remaining-" + name, b"%d" % max(0, limit - count)),
        (b"x-ratelimit-reset-" + name, b"%d" % left),
    )


def _too_many(code: str, message: str, left: int) -> Problem:
    return Problem(429, code, f"{message}; try again in {left} s", {"retry-after": str(left)})
