"""Requests that were refused, for the audit log: noted in memory, told to orgs in batches, never waited for."""

import asyncio
import logging
from collections import deque
from itertools import islice
from typing import Any

import grpc

from chassis.errors import Refusal
from chassis.grpc.caller import Caller, Identity
from gateway.auth import Authenticator
from gateway.errors import Problem
from gateway.metrics import REFUSALS_DROPPED
from gateway.refused import Key, Refused, record_of, refused_by, summary_of
from gateway.visit import Visit
from ratoon.orgs.v1 import audit_pb2
from ratoon.orgs.v1 import audit_service_pb2 as pb
from ratoon.orgs.v1.audit_service_pb2_grpc import AuditServiceStub

log = logging.getLogger(__name__)
_EVERY_SECONDS = 0.5
_BATCH = 1_000
_PATIENCE_SECONDS = 2.0
# Refusals, or records of them, that are kept while orgs does not take them.
_KEPT = 10_000
# So many equal refusals of one batch are told one by one.
_APART = 100
_AUDITED = frozenset({401, 403})


class Refusals:
    """Remembers what was refused until orgs has it; a flood of equal refusals becomes one record."""

    def __init__(
        self, stub: AuditServiceStub, identity: Identity, authenticator: Authenticator
    ) -> None:
        self._stub = stub
        self._identity = identity
        self._authenticator = authenticator
        self._noted: dict[Key, list[Refused]] = {}
        self._repeated: dict[Key, int] = {}
        self._waiting: deque[audit_pb2.AuditRecord] = deque()
        self._kept = 0
        self._dropped = 0
        self._woken = asyncio.Event()
        self._telling = asyncio.Lock()

    def note(self, visit: Visit, problem: Problem, path: dict[str, Any]) -> None:
        """Remember a request that is answered with 401 or 403."""
        if problem.status not in _AUDITED or not visit.operation:
            return
        refused = refused_by(visit, problem, path)
        key = refused.key()
        alike = self._noted.get(key)
        if alike is not None and len(alike) >= _APART:
            self._repeated[key] = self._repeated.get(key, 0) + 1
        elif self._kept + len(self._waiting) >= _KEPT:
            self._drop(1)
        else:
            self._noted.setdefault(key, []).append(refused)
            self._kept += 1
        self._woken.set()

    async def run(self) -> None:
        """Tell for ever: at once what comes after a pause, then twice a second."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            if not await self.tell():
                self._woken.set()
            await asyncio.sleep(_EVERY_SECONDS)

    async def tell(self) -> bool:
        """Tell orgs all that was noted; what it does not take now is kept for the next time. False: it took not all."""
        async with self._telling:
            await self._record()
            while self._waiting:
                batch = list(islice(self._waiting, _BATCH))
                if not await self._taken(batch):
                    return False
                for _ in batch:
                    self._waiting.popleft()
            return True

    async def _taken(self, batch: list[audit_pb2.AuditRecord]) -> bool:
        """Send records; True: they need not be sent again."""
        request = pb.RecordRefusalsRequest(records=batch)
        try:
            await self._stub.RecordRefusals(request, metadata=self._identity.metadata())
        except grpc.aio.AioRpcError as failure:
            log.warning("refusals not recorded: %s", failure.code().name)
            if failure.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                return False
            self._drop(len(batch))
        return True

    async def _record(self) -> None:
        """Make records of what was noted; from then on they have ids and wait to be sent."""
        for key in list(self._noted):
            caller = await self._caller(self._noted[key][0])
            # Only now: whoever is interrupted while waiting has lost nothing.
            alike, more = self._noted.pop(key), self._repeated.pop(key, 0)
            self._kept -= len(alike)
            if more:
                self._waiting.append(record_of(alike[0], caller, len(alike) + more))
            else:
                self._waiting.extend(record_of(refused, caller) for refused in alike)
        if self._dropped:
            self._waiting.append(summary_of(self._dropped))
            self._dropped = 0

    async def _caller(self, refused: Refused) -> Caller | None:
        """Return who it was: one who is not in the organization that was asked for is known to auth all the same."""
        if refused.presented is None:
            return refused.caller
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                established = await self._authenticator.establish(refused.presented, tuple)
        except (Refusal, TimeoutError):
            return None
        return established.caller

    def _drop(self, count: int) -> None:
        self._dropped += count
        REFUSALS_DROPPED.inc(count)
