"""The way into the store for one pull."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO

from chassis.db import Sessions
from services.snapshots.commands import blobs, losses
from services.snapshots.domain import Blob, Claim
from services.snapshots.store.port import Source, Store
from services.snapshots.worker.lease import LeaseLost
from services.snapshots.worker.measures import BYTES
from services.snapshots.worker.outages import brief, is_outage, steadily

log = logging.getLogger(__name__)
_UNDO_SECONDS = 2.0


class RecordedIntake:
    """Records what is in the store by this pull's doing, so that it survives the worker."""

    def __init__(self, store: Store, sessions: Sessions, claim: Claim) -> None:
        self._store, self._sessions, self._claim = store, sessions, claim

    async def has(self, digest: str) -> int | None:
        return await self._store.has(digest)

    async def write_blob(self, digest: str, size: int, source: Source, *, owner: str) -> None:
        here = size

        def from_offset(offset: int) -> AsyncGenerator[bytes, None]:
            nonlocal here
            here = offset
            return source(offset)

        async with self._undone(digest):
            await self._store.write_blob(digest, size, from_offset, owner=owner)
            BYTES.inc(size - here)
            await self._record(Blob(digest, size))

    async def put_bytes(self, digest: str, data: bytes) -> None:
        async with self._undone(digest):
            await self._store.put_bytes(digest, data)
            await self._record(Blob(digest, len(data)))

    async def open(self, digest: str) -> BinaryIO:
        return await self._store.open(digest)

    @asynccontextmanager
    async def _undone(self, digest: str) -> AsyncIterator[None]:
        """Unlink what came after its pin had gone, when the pull is wanted no longer: nobody looks for it before the next sweep."""
        try:
            yield
        except (LeaseLost, asyncio.CancelledError):
            try:
                async with asyncio.timeout(_UNDO_SECONDS), self._sessions.begin() as session:
                    if await losses.disown(session, digest):
                        await self._store.remove(digest)
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("a file may be left to the sweep: %s", brief(error))
            raise

    async def _record(self, blob: Blob) -> None:
        async def record() -> bool:
            async with self._sessions.begin() as session:
                return await blobs.place(session, self._claim, blob)

        if not await steadily(record):
            raise LeaseLost
