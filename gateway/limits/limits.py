"""What requests meet: counted, told in headers, refused when a window is used up."""

import time

from gateway.addresses import limited_as
from gateway.errors import Problem
from gateway.limits.bounds import ANONYMOUS, AUTHENTICATED, FAILED_AUTH, Bound, Own, Usual
from gateway.limits.leases import KINDS, Leases
from gateway.limits.shares import Shares
from gateway.limits.windows import Windows
from gateway.visit import Visit


class Limits:
    """The limits of the installation, and of the organizations that have their own."""

    def __init__(self, leases: Leases, usual: Usual) -> None:
        self._leases = leases
        self._usual = usual
        self._shares = {kind: Shares(kind, leases) for kind in KINDS}
        self.counts_requests = any(kind in usual for kind in KINDS if kind != FAILED_AUTH)
        anonymous = usual.get(ANONYMOUS)
        # A probe of this process is no business of the others, and must not wait for anybody.
        self._anonymous = Windows(anonymous.seconds) if anonymous else None
        # The attempt that reaches the limit is refused itself.
        failed = usual.get(FAILED_AUTH)
        self._failed = Bound(failed.limit - 1, failed.seconds) if failed else None

    async def run(self) -> None:
        """Give back what lies idle, for ever."""
        await self._leases.run()

    async def close(self) -> None:
        """Give back everything."""
        await self._leases.close()

    async def count(self, visit: Visit, subject: str, own: Own | None, declared: str) -> None:
        """Count a request of somebody known, by what its operation declares and as any; refuse what is too much."""
        for kind in (declared, AUTHENTICATED):
            bound = own.bound(kind, self._usual) if own else self._usual.get(kind)
            if kind and bound is not None:
                await self._count(visit, kind, subject, bound)

    async def _count(self, visit: Visit, kind: str, subject: str, bound: Bound) -> None:
        share, taken = await self._shares[kind].take(subject, bound)
        seconds = share.seconds_left(time.monotonic())
        allowed = share.allowed(self._leases.away) if taken else 0
        _say(visit, kind, bound.limit, min(allowed, bound.limit), seconds)
        if not taken:
            raise _too_many(visit, kind, "RATE_LIMIT_REACHED", "too many requests", seconds)

    async def failed(self, visit: Visit) -> Problem | None:
        """Count a 401 of an address; return what to answer instead, if there were too many."""
        bound = self._failed
        if bound is None:
            return None
        subject = "a:" + limited_as(visit.address)
        share, taken = await self._shares[FAILED_AUTH].take(subject, bound)
        seconds = share.seconds_left(time.monotonic())
        allowed = share.allowed(self._leases.away) + 1 if taken else 0
        _say(visit, FAILED_AUTH, bound.limit + 1, allowed, seconds)
        if taken:
            return None
        message = "too many failed attempts"
        return _too_many(visit, FAILED_AUTH, "FAILED_AUTH_LIMIT_REACHED", message, seconds)

    def anonymous(self, visit: Visit) -> None:
        """Count a request of whoever it may be, by its address; refuse what is too much."""
        if self._anonymous is None:
            return
        count, seconds = self._anonymous.hit(limited_as(visit.address))
        limit = self._usual[ANONYMOUS].limit
        _say(visit, ANONYMOUS, limit, max(0, limit - count), seconds)
        if count > limit:
            raise _too_many(visit, ANONYMOUS, "RATE_LIMIT_REACHED", "too many requests", seconds)


def _say(visit: Visit, kind: str, limit: int, allowed: int, seconds: int) -> None:
    name = kind.encode()
    visit.outgoing += (
        (b"x-ratelimit-limit-" + name, b"%d" % limit),
        (b"x-ratelimit-remaining-" + name, b"%d" % allowed),
        (b"x-ratelimit-reset-" + name, b"%d" % seconds),
    )


def _too_many(visit: Visit, kind: str, code: str, message: str, seconds: int) -> Problem:
    visit.outgoing.append((b"retry-after-" + kind.encode(), b"%d" % seconds))
    said = f"{message}; try again in {seconds} s"
    return Problem(429, code, said, {"retry-after": str(seconds)})
