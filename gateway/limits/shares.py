"""The shares of one kind, by subject; the oldest are forgotten when there are too many."""

import time

from gateway.limits.bounds import Bound
from gateway.limits.leases import Leases
from gateway.limits.share import Share
from gateway.limits.windows import SUBJECTS


class Shares:
    """Lets requests through from shares; asks for more in the background, and waits only when nothing is left."""

    def __init__(self, kind: str, leases: Leases) -> None:
        self._kind = kind
        self._leases = leases
        self._known: dict[str, Share] = {}

    async def take(self, subject: str, bound: Bound) -> tuple[Share, bool]:
        """Count one; return the share and whether the window allows it."""
        now = time.monotonic()
        share = self._known.get(subject)
        if share is None or share.ends <= now:
            share = self._young(subject, bound)
        elif share.bound is not bound:
            share.rebind(bound)
        if share.take(now):
            if share.left <= share.low and not self._leases.away:
                self._leases.ask(share)
            return share, True
        return share, await self._take_later(share)

    async def _take_later(self, share: Share) -> bool:
        while True:
            now = time.monotonic()
            if share.ends and share.ends <= now:
                share.end()
            if share.take(now):
                return True
            if self._leases.away:
                self._leases.look(share)
                return share.take_alone(now)
            if share.used_up(now):
                return False
            share.waiting += 1
            try:
                await self._leases.answered(share)
            finally:
                share.waiting -= 1

    def _young(self, subject: str, bound: Bound) -> Share:
        """Return the subject's share for a new window, moved to the young end: the front is the oldest."""
        share = self._known.pop(subject, None)
        if share is None:
            share = Share(self._kind, subject, bound)
            if len(self._known) >= SUBJECTS:
                self._leases.give_back(self._known.pop(next(iter(self._known))))
        elif share.ends:
            share.end()
        share.rebind(bound)
        self._known[subject] = share
        return share
