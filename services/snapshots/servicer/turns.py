"""Turns: one organization's flood of costly requests waits for itself, not everybody for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Lets each organization do at most `most` things at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, organization_id: str) -> AsyncIterator[None]:
        """Wait for a turn of the organization and hold it; what nobody waits for is forgotten."""
        gate, users = self._running.get(organization_id) or (asyncio.Semaphore(self._most), 0)
        self._running[organization_id] = (gate, users + 1)
        try:
            async with gate:
                yield
        finally:
            gate, users = self._running.pop(organization_id)
            if users > 1:
                self._running[organization_id] = (gate, users - 1)
