"""A refused request: what is remembered of it, and the record that it becomes."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec

from chassis.grpc.caller import Caller
from gateway.audited import called
from gateway.auth import Presented
from gateway.call import plain
from gateway.errors import Problem
from gateway.visit import Visit
from ratoon.orgs.v1.audit_pb2 import AuditRecord

# Path parameters that name what is acted on. Others may hold anything, a secret gone astray too.
_TARGETS = ("organizationId", "id", "roleId", "invitationId", "accountId")
# A batch must fit into one message, whatever is said.
_MESSAGE_LIMIT = 1_000
_encode = msgspec.json.Encoder().encode
Key = tuple[str, str, str, str]


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

    def key(self) -> Key:
        """Return what makes refusals equal."""
        if self.presented is not None:
            who = self.presented.credential
        else:
            who = "" if self.caller is None else self.caller.user_id or self.caller.service
        return self.operation, self.code, self.address, who


def refused_by(visit: Visit, problem: Problem, path: dict[str, Any]) -> Refused:
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


def record_of(refused: Refused, caller: Caller | None, repeated: int = 0) -> AuditRecord:
    action, target = called(refused.operation)
    organization, *others = (refused.asked.get(name, "") for name in _TARGETS)
    metadata: dict[str, Any] = {"operation": refused.operation}
    if organization:
        metadata["organizationId"] = organization
    if repeated:
        metadata["repeated"] = repeated
    record = AuditRecord(
        id=str(uuid4()),
        action=action,
        target_type=target,
        target_id=organization if target == "organization" else next(filter(None, others), ""),
        organization_id=_organization(refused),
        status_code=refused.status,
        error_message=f"{refused.code}: {refused.message}"[:_MESSAGE_LIMIT],
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


def summary_of(dropped: int) -> AuditRecord:
    record = AuditRecord(
        id=str(uuid4()),
        action="drop_refusals",
        error_message=f"REFUSALS_DROPPED: {dropped} refused requests could not be kept",
        metadata=_encode({"dropped": dropped}).decode(),
    )
    record.create_time.GetCurrentTime()
    return record
