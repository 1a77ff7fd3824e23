"""The lending of shares, made up: windows that last until a test ends them."""

from typing import Any

from ratoon.auth.v1 import rate_limit_service_pb2 as pb
from ratoon.auth.v1 import rate_limit_service_pb2_grpc
from tests.gateway_fakes.calls import Calls


class FakeRateLimits(rate_limit_service_pb2_grpc.RateLimitServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()
        self.lent: dict[tuple[int, str], int] = {}
        self.window = 1
        self.seconds = 0.0

    def end_windows(self) -> None:
        self.lent.clear()
        self.window += 1

    async def LeaseShares(
        self, request: pb.LeaseSharesRequest, context: Any
    ) -> pb.LeaseSharesResponse:
        await self.calls.heard("LeaseShares", request, context)
        return pb.LeaseSharesResponse(shares=[self._share(lease) for lease in request.leases])

    def leases(self) -> list[pb.LeaseSharesRequest.Lease]:
        """Return everything that was asked, in order."""
        return [lease for _, request, _ in self.calls.requests for lease in request.leases]

    def _share(self, lease: pb.LeaseSharesRequest.Lease) -> pb.LeaseSharesResponse.Share:
        key = (lease.kind, lease.subject)
        lent = self.lent.get(key, 0) + lease.owed
        if lease.returned_window == self.window:
            lent -= lease.returned
        free = max(0, lease.limit - lent)
        granted = min(free, lease.needed + min(lease.wanted, lease.limit // 20, free // 8))
        self.lent[key] = lent + granted
        share = pb.LeaseSharesResponse.Share(
            granted=granted, remaining=free - granted, window=self.window
        )
        share.left.FromNanoseconds(int((self.seconds or lease.window_seconds) * 1e9))
        return share
