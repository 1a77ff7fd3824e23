"""Trying again: a little, at once, where a moment may help. Longer waits are the worker's."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from services.snapshots.images.failures import Code, PullFailed

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Retries:
    """How often in all, and the seconds between."""

    attempts: int = 3
    first_pause: float = 0.25
    longest_pause: float = 5.0


class Attempts:
    """Counts the failures of one request."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._failed = 0
        self._mismatched = False

    async def after(self, failure: PullFailed) -> None:
        """Wait for the next attempt; raises the failure if it was the last."""
        if failure.code is Code.DIGEST_MISMATCH and not self._mismatched:
            # Something between us and the registry may have damaged it; but only once.
            self._mismatched = True
            return
        self._failed += 1
        asked = failure.retry_after or 0.0
        if (
            not failure.transient
            or self._failed >= self._retries.attempts
            or asked > self._retries.longest_pause
        ):
            raise failure
        pause = self._retries.first_pause * 2 ** (self._failed - 1)
        await asyncio.sleep(max(asked, min(pause, self._retries.longest_pause) * _jitter()))

    def progressed(self) -> None:
        """What came meanwhile shows that the next attempt is a first one again."""
        self._failed = 0


def _jitter() -> float:
    return random.uniform(0.5, 1.0)


async def persistent(retries: Retries, request: Callable[[], Awaitable[Result]]) -> Result:
    attempts = Attempts(retries)
    while True:
        try:
            return await request()
        except PullFailed as failure:
            await attempts.after(failure)
