"""Requests that were refused, for the audit log: noted in memory, told to orgs in batches, never waited for."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import grpc
import msgspec

from chassis.errors import Refusal
from chassis.grpc.caller import Caller, Identity
from gateway.audited import called
from gateway.auth import Authenticator, Presented
from gateway.call import plain
from gateway.errors import Problem
from gateway.metrics import REFUSALS_DROPPED
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
# Path parameters that name what is acted on. Others may hold anything, a secret gone astray too.
_TARGETS = ("organizationId", "id", "roleId", "invitationId", "accountId")
_encode = msgspec.json.Encoder().encode
_Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Refused:
    """One refused request; `presented` is what its caller is yet to be known by."""

    at: float
    operation: str
    status: int
    code: str
    message: str
    address: str
    user_agent: str
    source: str
    asked: dict[str, str]
    caller: Caller | None
    presented: Presented | None

    def key(self) -> _Key:
        """Return what makes refusals equal."""
        if self.presented is not None:
            who = self.presented.credential
        else:
            who = "" if self.caller is None else self.caller.user_id or self.caller.service
        return self.operation, self.code, self.address, who


class Refusals:
    """Remembers what was refused until orgs has it; a flood of equal refusals becomes one record."""

    def __init__(
        self, stub: AuditServiceStub, identity: Identity, authenticator: Authenticator
    ) -> None:
        self._stub = stub
        self._identity = identity
        self._authenticator = authenticator
        self._noted: dict[_Key, list[Refused]] = {}
        self._repeated: dict[_Key, int] = {}
        self._waiting: deque[audit_pb2.AuditRecord] = deque()
        self._kept = 0
        self._dropped = 0
        self._woken = asyncio.Event()

    def note(self, visit: Visit, problem: Problem, path: dict[str, Any]) -> None:
        """Remember a request that is answered with 401 or 403."""
        if problem.status not in _AUDITED or not visit.operation:
            return
        refused = _refused(visit, problem, path)
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
        await self._record()
        while self._waiting:
            batch = [self._waiting[i] for i in range(min(_BATCH, len(self._waiting)))]
            try:
                await self._send(batch)
            except grpc.aio.AioRpcError as failure:
                log.warning("refusals not recorded: %s", failure.code().name)
                if failure.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                    return False
                self._drop(len(batch))
            for _ in batch:
                self._waiting.popleft()
        return True

    async def _record(self) -> None:
        """Make records of what was noted; from then on they have ids and wait to be sent."""
        for key in list(self._noted):
            caller = await self._caller(self._noted[key][0])
            # Only now: whoever is interrupted while waiting has lost nothing.
            alike, more = self._noted.pop(key), self._repeated.pop(key, 0)
            self._kept -= len(alike)
            if more:
                self._waiting.append(_record_of(alike[0], caller, len(alike) + more))
            else:
                self._waiting.extend(_record_of(refused, caller) for refused in alike)
        if self._dropped:
            self._waiting.append(_summary(self._dropped))
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

    async def _send(self, records: Iterable[audit_pb2.AuditRecord]) -> None:
        request = pb.RecordRefusalsRequest(records=records)
        await self._stub.RecordRefusals(request, metadata=self._identity.metadata())

    def _drop(self, count: int) -> None:
        self._dropped += count
        REFUSALS_DROPPED.inc(count)


def _refused(visit: Visit, problem: Problem, path: dict[str, Any]) -> Refused:
    incoming = visit.incoming
    return Refused(
        at=time.time(),
        operation=visit.operation,
        status=problem.status,
        code=problem.code,
        message=problem.message,
        address=visit.address,
        user_agent=plain(incoming.get(b"user-agent", b"")),
        source=plain(incoming.get(b"x-daytona-source", b"")),
        asked={name: path[name].lower() for name in _TARGETS if _is_uuid(path.get(name, ""))},
        caller=visit.caller,
        presented=visit.stranger,
    )


def _is_uuid(text: str) -> bool:
    try:
        return len(text) == 36 and bool(UUID(text).version)
    except ValueError:
        return False


def _record_of(refused: Refused, caller: Caller | None, repeated: int = 0) -> audit_pb2.AuditRecord:
    action, target = called(refused.operation)
    organization, *others = (refused.asked.get(name, "") for name in _TARGETS)
    metadata: dict[str, Any] = {"operation": refused.operation}
    if organization:
        metadata["organizationId"] = organization
    if repeated:
        metadata["repeated"] = repeated
    record = audit_pb2.AuditRecord(
        id=str(uuid4()),
        action=action,
        target_type=target,
        target_id=organization if target == "organization" else next(filter(None, others), ""),
        organization_id=_organization(refused),
        status_code=refused.status,
        error_message=f"{refused.code}: {refused.message}",
        ip_address=refused.address,
        user_agent=refused.user_agent,
        source=refused.source,
        metadata=_encode(metadata).decode(),
    )
    record.create_time.FromMilliseconds(int(refused.at * 1000))
    if caller is not None:
        record.actor_id = caller.user_id or caller.service
        record.actor_email = caller.email
        record.actor_api_key_prefix = caller.api_key_prefix
        record.actor_api_key_suffix = caller.api_key_suffix
    return record


def _organization(refused: Refused) -> str:
    """Return the organization in whose log it stands: only one that its caller was established in.

    Nobody else can fill somebody's log.
    """
    if refused.status != 403 or refused.caller is None:
        return ""
    own, asked = refused.caller.organization_id, refused.asked.get("organizationId")
    return own if asked in (None, own) else ""


def _summary(dropped: int) -> audit_pb2.AuditRecord:
    record = audit_pb2.AuditRecord(
        id=str(uuid4()),
        action="drop_refusals",
        error_message=f"REFUSALS_DROPPED: {dropped} refused requests could not be kept",
        metadata=_encode({"dropped": dropped}).decode(),
    )
    record.create_time.GetCurrentTime()
    return record
