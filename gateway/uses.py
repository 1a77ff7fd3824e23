"""The use of API keys: noted in memory, reported to auth in batches."""

import asyncio
import logging
import time

import grpc

from chassis.grpc.caller import Identity
from ratoon.auth.v1 import authentication_service_pb2 as pb
from ratoon.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub

log = logging.getLogger(__name__)
_EVERY_SECONDS = 5.0
_BATCH = 1_000


class KeyUses:
    """Remembers when each key was last used until auth knows it."""

    def __init__(self, stub: AuthenticationServiceStub, identity: Identity) -> None:
        self._stub = stub
        self._identity = identity
        self._used: dict[str, float] = {}

    def note(self, api_key_id: str) -> None:
        self._used[api_key_id] = time.time()

    async def run(self) -> None:
        """Report for ever."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self.report()

    async def report(self) -> None:
        """Report what was noted; what auth does not take now is kept for the next time."""
        while self._used:
            batch = [self._used.popitem() for _ in range(min(_BATCH, len(self._used)))]
            try:
                await self._send(batch)
            except grpc.aio.AioRpcError as failure:
                log.warning("use of keys not reported: %s", failure.code().name)
                for api_key_id, used in batch:
                    self._used.setdefault(api_key_id, used)
                return

    async def _send(self, batch: list[tuple[str, float]]) -> None:
        request = pb.ReportApiKeyUseRequest()
        for api_key_id, used in batch:
            use = request.uses.add(api_key_id=api_key_id)
            use.last_use_time.FromMilliseconds(int(used * 1000))
        await self._stub.ReportApiKeyUse(request, metadata=self._identity.metadata())
