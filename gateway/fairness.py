"""Turns: lists of one organization wait for each other, so that they do not keep everybody else waiting."""

import asyncio
import time
from collections import deque
from types import TracebackType

from gateway.errors import Problem

_COMPANY_SECONDS = 1.0


class _Lane:
    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[asyncio.Future[None]] = deque()


class Turns:
    """Lets so many act at once for each subject; the others wait in order, up to a number.

    While somebody else is there, each subject has one turn only: a flood then never has more than one process at a
    time at work for it, and whoever comes finds a processor.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once = at_once
        self._waiting = waiting
        self._lanes: dict[str, _Lane] = {}
        # The two subjects that were seen last, and when.
        self._last = self._before = ("", -_COMPANY_SECONDS)

    def seen(self, subject: str) -> None:
        """Note that a subject is there, whatever it wants."""
        if subject != self._last[0]:
            self._before = self._last
        self._last = (subject, time.monotonic())

    def _places(self, subject: str) -> int:
        other = self._before if self._last[0] == subject else self._last
        return 1 if time.monotonic() - other[1] < _COMPANY_SECONDS else self._at_once

    def of(self, subject: str) -> "Turn":
        """Return an async context manager that holds one turn of the subject."""
        return Turn(self, subject)

    async def take(self, subject: str) -> None:
        lane = self._lanes.get(subject)
        if lane is None:
            lane = self._lanes[subject] = _Lane()
        if lane.running < self._places(subject):
            lane.running += 1
            return
        if len(lane.waiting) >= self._waiting:
            message = "too many lists of this organization at once"
            raise Problem(429, "TOO_MANY_AT_ONCE", message, {"retry-after": "1"})
        await self._wait(subject, lane)

    async def _wait(self, subject: str, lane: _Lane) -> None:
        turn = asyncio.get_running_loop().create_future()
        lane.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # The turn was given in the moment the wait was given up: the next one shall have it.
                self.give(subject)
            elif turn in lane.waiting:
                lane.waiting.remove(turn)
            raise

    def give(self, subject: str) -> None:
        """End a turn: the next in line has it at once."""
        lane = self._lanes[subject]
        lane.running -= 1
        places = self._places(subject)
        while lane.waiting and lane.running < places:
            turn = lane.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                lane.running += 1
        if not lane.running:
            del self._lanes[subject]


class Turn:
    """One turn, to be held with `async with`."""

    __slots__ = ("_subject", "_turns")

    def __init__(self, turns: Turns, subject: str) -> None:
        self._turns = turns
        self._subject = subject

    async def __aenter__(self) -> None:
        await self._turns.take(self._subject)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._turns.give(self._subject)
