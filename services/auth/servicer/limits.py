"""RateLimitService over gRPC, and the forgetting of windows that have ended."""

import asyncio
import logging
from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Pool
from chassis.grpc.interceptors import unavailable
from chassis.process import unless_cancelled
from ratoon.auth.v1 import rate_limit_service_pb2 as pb
from ratoon.auth.v1.rate_limit_service_pb2_grpc import RateLimitServiceServicer
from services.auth.commands import shares
from services.auth.domain.limits import Lease, Share, fit

log = logging.getLogger(__name__)
Context = ServicerContext[Any, Any]
_FORGET_SECONDS = 30.0
_KINDS = {
    pb.RATE_LIMIT_KIND_AUTHENTICATED: "authenticated",
    pb.RATE_LIMIT_KIND_SANDBOX_CREATE: "sandbox-create",
    pb.RATE_LIMIT_KIND_SANDBOX_LIFECYCLE: "sandbox-lifecycle",
    pb.RATE_LIMIT_KIND_FAILED_AUTH: "failed-auth",
}


class RateLimitServicer(RateLimitServiceServicer):
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def LeaseShares(
        self, request: pb.LeaseSharesRequest, context: Context
    ) -> pb.LeaseSharesResponse:
        leases = fit([_lease(one) for one in request.leases])
        lent = await shares.lease(self._pool, leases)
        return pb.LeaseSharesResponse(shares=[_share(one) for one in lent])


def _lease(asked: pb.LeaseSharesRequest.Lease) -> Lease:
    return Lease(
        kind=_KINDS.get(asked.kind, ""),
        subject=asked.subject,
        limit=asked.limit,
        seconds=asked.window_seconds,
        needed=asked.needed,
        wanted=asked.wanted,
        returned=asked.returned,
        returned_window=asked.returned_window,
        owed=asked.owed,
    )


def _share(lent: Share) -> pb.LeaseSharesResponse.Share:
    share = pb.LeaseSharesResponse.Share(
        granted=lent.granted, remaining=lent.remaining, window=lent.window
    )
    share.left.FromNanoseconds(int(lent.left * 1e9))
    return share


async def forget_ended(pool: Pool) -> None:
    """Forget ended windows, for ever; a database that is away is left for the next time."""
    while True:
        await asyncio.sleep(_FORGET_SECONDS)
        try:
            await shares.forget_ended(pool)
        except Exception as failure:
            unless_cancelled()
            if not unavailable(failure):
                raise
            log.warning("ended windows are kept for now: %s", type(failure).__name__)
