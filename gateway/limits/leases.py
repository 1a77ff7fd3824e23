"""Shares of windows, lent by auth: asked for in batches, one call at a time."""

import asyncio
import logging
import time
from collections import deque

import grpc

from chassis.grpc.caller import Identity
from gateway.limits.bounds import (
    AUTHENTICATED,
    FAILED_AUTH,
    SANDBOX_CREATE,
    SANDBOX_LIFECYCLE,
)
from gateway.limits.share import Share
from gateway.metrics import LEASES
from ratoon.auth.v1 import rate_limit_service_pb2 as pb
from ratoon.auth.v1.rate_limit_service_pb2_grpc import RateLimitServiceStub

log = logging.getLogger(__name__)
KINDS = {
    AUTHENTICATED: pb.RATE_LIMIT_KIND_AUTHENTICATED,
    SANDBOX_CREATE: pb.RATE_LIMIT_KIND_SANDBOX_CREATE,
    SANDBOX_LIFECYCLE: pb.RATE_LIMIT_KIND_SANDBOX_LIFECYCLE,
    FAILED_AUTH: pb.RATE_LIMIT_KIND_FAILED_AUTH,
}
_BATCH = 200
# Requests wait for the answer. A limit must not cost more than this, whatever keeps auth from answering.
_PATIENCE_SECONDS = 2.0
_AGAIN_SECONDS = 1.0
# What lies idle for so long is given back.
_IDLE_SECONDS = 1.0
_ANSWERED, _AWAY = (LEASES.labels(result) for result in ("answered", "away"))


class Leases:
    """Asks auth for shares. While auth is away nobody waits for it; one question a second finds out when it is back."""

    def __init__(self, stub: RateLimitServiceStub, identity: Identity) -> None:
        self._stub = stub
        self._identity = identity
        self._queue: deque[Share] = deque()
        self._task: asyncio.Task[None] | None = None
        # The shares that may have something to give back.
        self._held: set[Share] = set()
        # Nobody can be asked; who wants something has to do without.
        self.away = False
        self._again_at = 0.0

    async def answered(self, share: Share) -> None:
        """Ask for the share and return when there is an answer, or none can be had."""
        # Shielded: one waiter that goes away must not take the answer from the others.
        await asyncio.shield(self.ask(share))

    def ask(self, share: Share) -> asyncio.Future[None]:
        """Ask for the share, without waiting; what is asked already is not asked again."""
        if share.asking is None:
            share.asking = asyncio.get_running_loop().create_future()
            self._queue.append(share)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._ask_all())
        return share.asking

    def look(self, share: Share) -> None:
        """Ask whether auth is back, if it is time to."""
        now = time.monotonic()
        if now >= self._again_at:
            self._again_at = now + _AGAIN_SECONDS
            self.ask(share)

    def give_back(self, share: Share) -> None:
        """Give back what is left of the share, unless its window has ended."""
        self._held.discard(share)
        if share.left and share.ends > time.monotonic() and not self.away:
            share.give_back()
            self.ask(share)

    async def run(self) -> None:
        """Give back what lies idle, for ever."""
        while True:
            await asyncio.sleep(_IDLE_SECONDS)
            now = time.monotonic()
            idle = [s for s in self._held if now - s.used_at >= _IDLE_SECONDS and not s.asking]
            for share in idle:
                self.give_back(share)

    async def close(self) -> None:
        """Give back everything, so that whoever comes next has it."""
        await self._settled()
        for share in list(self._held):
            self.give_back(share)
        await self._settled()

    async def _settled(self) -> None:
        if self._task is not None:
            await self._task

    async def _ask_all(self) -> None:
        while self._queue:
            batch: dict[tuple[str, str], Share] = {}
            while self._queue and len(batch) < _BATCH:
                share = self._queue[0]
                # A share that was given up may still have a wish when its subject has a new one.
                if (share.kind, share.subject) in batch:
                    break
                batch[share.kind, share.subject] = self._queue.popleft()
            await self._ask(list(batch.values()))

    async def _ask(self, batch: list[Share]) -> None:
        request, sent = pb.LeaseSharesRequest(), time.monotonic()
        for share in batch:
            request.leases.append(_wish(share, sent))
        try:
            answer = await self._stub.LeaseShares(
                request, metadata=self._identity.metadata(), timeout=_PATIENCE_SECONDS
            )
        except grpc.aio.AioRpcError as failure:
            self._failed(failure)
            for share, wish in zip(batch, request.leases, strict=True):
                share.owed += wish.owed
        else:
            self.away = False
            _ANSWERED.inc()
            for share, wish, lent in zip(batch, request.leases, answer.shares, strict=True):
                left = lent.left.seconds + lent.left.nanos / 1e9
                # Counted from the question, so that no share outlives its window.
                share.lent(lent.granted, wish.needed, lent.remaining, lent.window, sent + left)
                if share.left:
                    self._held.add(share)
        finally:
            for share in batch:
                _done(share)

    def _failed(self, failure: grpc.aio.AioRpcError) -> None:
        _AWAY.inc()
        self._again_at = time.monotonic() + _AGAIN_SECONDS
        if not self.away:
            self.away = True
            log.warning("limits are counted by this process alone: %s", failure.code().name)


def _done(share: Share) -> None:
    asking, share.asking = share.asking, None
    if asking is not None and not asking.done():
        asking.set_result(None)


def _wish(share: Share, now: float) -> pb.LeaseSharesRequest.Lease:
    needed, wanted, returned, owed = share.wish(now)
    return pb.LeaseSharesRequest.Lease(
        kind=KINDS[share.kind],
        subject=share.subject,
        limit=share.bound.limit,
        window_seconds=share.bound.seconds,
        needed=needed,
        wanted=wanted,
        returned=returned,
        returned_window=share.window,
        owed=owed,
    )
