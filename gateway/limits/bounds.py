"""How much a window allows: the installation's limits, and what an organization has instead."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.grpc.caller import Caller
from ratoon.auth.v1 import authentication_pb2

AUTHENTICATED = "authenticated"
SANDBOX_CREATE = "sandbox-create"
SANDBOX_LIFECYCLE = "sandbox-lifecycle"
FAILED_AUTH = "failed-auth"
ANONYMOUS = "anonymous"
# Whose limits organizations may have for themselves.
_OWN = (AUTHENTICATED, SANDBOX_CREATE, SANDBOX_LIFECYCLE)
# The window of an organization's own limit where neither it nor the installation says how long one is.
_USUAL_SECONDS = 60
_LARGEST = 2**31 - 1
# Users are called whatever an issuer says.
_LONGEST_NAME = 100
_LONGEST_SECONDS = 366 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Bound:
    """So many in a window of so many seconds."""

    limit: int
    seconds: int

    @classmethod
    def of(cls, limit: int, seconds: int) -> "Bound":
        """Return the bound, within what can be counted."""
        return cls(max(0, min(limit, _LARGEST)), min(seconds, _LONGEST_SECONDS))


Usual = Mapping[str, Bound]


@dataclass(frozen=True, slots=True)
class Own:
    """What one organization has instead of the installation's limits; unset parts are the installation's."""

    parts: Mapping[str, tuple[int | None, int | None]]
    _found: dict[str, Bound | None] = field(default_factory=dict)

    def bound(self, kind: str, usual: Usual) -> Bound | None:
        """Return what counts for the organization; the answer is kept, since `usual` is always the same."""
        if kind not in self._found:
            self._found[kind] = self._bound(kind, usual.get(kind))
        return self._found[kind]

    def _bound(self, kind: str, usual: Bound | None) -> Bound | None:
        limit, seconds = self.parts.get(kind, (None, None))
        if limit is None and usual is None:
            return None
        if limit is None and usual is not None:
            limit = usual.limit
        if seconds is None or seconds < 1:
            seconds = usual.seconds if usual is not None else _USUAL_SECONDS
        return Bound.of(limit or 0, seconds)


def own_from_proto(said: authentication_pb2.RateLimits) -> Own:
    """Return an organization's own limits, as auth says them."""
    told = {descriptor.name: value for descriptor, value in said.ListFields()}

    def parts(kind: str) -> tuple[int | None, int | None]:
        name = kind.replace("-", "_")
        return told.get(f"{name}_limit"), told.get(f"{name}_seconds")

    return Own({kind: parts(kind) for kind in _OWN})


def subject_of(caller: Caller) -> str:
    """Return as whom limits count a caller: its verified organization, else the user; empty for a machine."""
    if caller.organization_id:
        return "o:" + caller.organization_id
    if len(caller.user_id) > _LONGEST_NAME:
        return "u#" + hashlib.sha256(caller.user_id.encode()).hexdigest()
    return "u:" + caller.user_id if caller.user_id else ""
