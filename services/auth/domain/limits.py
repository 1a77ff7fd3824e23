"""Shares of what a window allows, lent to gateways."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.errors import Kind, Refusal

MOST_LEASES = 200
_LONGEST_SUBJECT = 512
_LONGEST_WINDOW = 366 * 24 * 3600


class LeasesInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "LEASES_INVALID"


@dataclass(frozen=True, slots=True)
class Lease:
    """What a gateway asks for, and its account of what it was lent before."""

    kind: str
    subject: str
    limit: int
    seconds: int
    needed: int
    wanted: int
    returned: int
    returned_window: int
    owed: int


@dataclass(frozen=True, slots=True)
class Share:
    """What it is lent, and what is left for others, in a window that still lasts so many seconds."""

    granted: int
    remaining: int
    window: int
    left: float


def fit(leases: Sequence[Lease]) -> Sequence[Lease]:
    """Return the leases; refused with LEASES_INVALID where one makes no sense."""
    if len(leases) > MOST_LEASES:
        raise LeasesInvalid(f"at most {MOST_LEASES} leases at once", most=str(MOST_LEASES))
    if len({(lease.kind, lease.subject) for lease in leases}) < len(leases):
        raise LeasesInvalid("one lease for each kind and subject")
    for lease in leases:
        _check(lease)
    return leases


def _check(lease: Lease) -> None:
    if not lease.kind:
        raise LeasesInvalid("a lease of an unknown kind")
    if not 0 < len(lease.subject.encode()) <= _LONGEST_SUBJECT or "\0" in lease.subject:
        raise LeasesInvalid(f"a subject is 1 to {_LONGEST_SUBJECT} bytes without a NUL")
    if not 0 < lease.seconds <= _LONGEST_WINDOW:
        raise LeasesInvalid(f"a window is 1 to {_LONGEST_WINDOW} seconds")
    if min(lease.limit, lease.needed, lease.wanted, lease.returned, lease.owed) < 0:
        raise LeasesInvalid("a lease with a number below 0")
