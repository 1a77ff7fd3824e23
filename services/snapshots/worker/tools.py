"""What all jobs of a worker share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from chassis.db import Sessions
from services.snapshots.domain.credentials import Credentials
from services.snapshots.store.port import Store
from services.snapshots.worker.garbage import Garbage
from services.snapshots.worker.policy import Policy
from services.snapshots.worker.room import Room

# The largest image, in GiB, that an organization may have; waits until that is known.
LargestImage = Callable[[UUID], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Tools:
    """Handed to every job; none of it belongs to one."""

    sessions: Sessions
    store: Store
    room: Room
    garbage: Garbage
    largest_image: LargestImage
    policy: Policy
    credentials: Credentials
