"""One subject's share of a window: what is lent to this process, and how it is counted."""

import asyncio
import math

from gateway.limits.bounds import Bound

_FIRST_WANT, _LARGEST_WANT = 8, 4096
# What is lent in advance should last between these: shorter asks too often, longer keeps from others what lies idle.
_SHORT_SECONDS, _LONG_SECONDS = 0.1, 1.0
# When a window is used up, it is asked for again after so long: others may have given something back.
_USED_UP_SECONDS = 1.0
_NEVER = -1


class Share:
    """What this process may let through for one subject before it has to ask again."""

    __slots__ = (
        "_asked_at",
        "_asked_bound",
        "_counted",
        "_returned",
        "_used_up_until",
        "_want",
        "asking",
        "bound",
        "ends",
        "kind",
        "left",
        "low",
        "owed",
        "remaining",
        "subject",
        "used_at",
        "waiting",
        "window",
    )

    def __init__(self, kind: str, subject: str, bound: Bound) -> None:
        self.kind = kind
        self.subject = subject
        self.bound = bound
        # How many wait for an answer, and what they wait for.
        self.waiting = 0
        self.asking: asyncio.Future[None] | None = None
        self.used_at = 0.0
        self._want = _FIRST_WANT
        self._asked_at, self._asked_bound = 0.0, bound
        self.end()

    def end(self) -> None:
        """The window has ended, and with it whatever is left of the share."""
        self.window, self.ends = 0, 0.0
        self.left = self.remaining = 0
        # When this is reached, more is asked for.
        self.low = _NEVER
        # Let through in this window by this process; of those, without a share; given back.
        self._counted = self.owed = self._returned = 0
        self._used_up_until = 0.0

    def rebind(self, bound: Bound) -> None:
        """Another bound holds from now on: nothing that was lent under the old one is let through any more."""
        if bound != self.bound:
            self.give_back()
            self.remaining, self._used_up_until = 0, 0.0
        self.bound = bound

    def give_back(self) -> None:
        """With the next question, give back what is left."""
        self._returned += self.left
        self.left, self.low = 0, _NEVER

    def take(self, now: float) -> bool:
        """Let one through if something is left; tell whether it was."""
        if not self.left:
            return False
        self.left -= 1
        self._counted += 1
        self.used_at = now
        return True

    def take_alone(self, now: float) -> bool:
        """Let one through without asking anybody, up to the whole limit."""
        if not self.ends:
            self.ends = now + self.bound.seconds
        if self._counted >= self.bound.limit:
            return False
        self._counted += 1
        self.owed += 1
        return True

    def used_up(self, now: float) -> bool:
        """Tell whether it is known that the window allows no more."""
        return now < self._used_up_until

    def allowed(self, alone: bool) -> int:
        """Return how many more the window allows, as far as this process knows."""
        if alone and not self.left:
            return max(0, self.bound.limit - self._counted)
        return self.left + self.remaining

    def seconds_left(self, now: float) -> int:
        return max(1, math.ceil(self.ends - now))

    def wish(self, now: float) -> tuple[int, int, int, int]:
        """Return how many to ask for (needed, in advance), to give back and to own up to."""
        lasted = now - self._asked_at
        self._asked_at, self._asked_bound = now, self.bound
        if lasted < _SHORT_SECONDS:
            self._want = min(self._want * 2, _LARGEST_WANT)
        elif lasted > _LONG_SECONDS:
            self._want = max(self._want // 2, 1)
        returned, owed = self._returned, self.owed
        self._returned = self.owed = 0
        wanted = 0 if returned and not self.waiting else self._want
        return self.waiting, wanted, returned, owed

    def lent(self, granted: int, needed: int, remaining: int, window: int, ends: float) -> None:
        """Take in what is lent of a window that ends then."""
        if window != self.window:
            if self.window:
                self.end()
            self.window = window
        self.ends = ends
        if self._asked_bound != self.bound:
            self._returned += granted
            return
        self.left += granted
        self.remaining = remaining
        in_advance = granted - needed
        self.low = in_advance // 2 if in_advance > 0 and remaining else _NEVER
        if in_advance < 0 or not remaining:
            self._used_up_until = self._asked_at + _USED_UP_SECONDS
