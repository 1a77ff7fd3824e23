"""How much the store may hold."""

import asyncio

from services.snapshots.store.port import Store

# Left to everybody else on the disk.
_RESERVE_BYTES = 1 << 30
# What others do to the disk is noticed after so long; our own writing leaves the sum as it is.
_REMEMBERED_SECONDS = 60.0


class Room:
    """The store's limit: the configured one, and never more than the disk has."""

    def __init__(self, store: Store, limit: int | None) -> None:
        self._store, self._limit = store, limit
        self._disk = 0
        self._until = 0.0

    async def capacity(self) -> int:
        """Return how many bytes the store may hold in all, those included that it holds."""
        clock = asyncio.get_running_loop().time
        if clock() >= self._until:
            self._disk = await self._store.usage() + await self._store.free() - _RESERVE_BYTES
            self._until = clock() + _REMEMBERED_SECONDS
        return max(0, self._disk if self._limit is None else min(self._disk, self._limit))
