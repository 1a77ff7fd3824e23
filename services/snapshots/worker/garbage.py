"""The store keeps to the rows: what nothing refers to goes, what is missing is owned up to."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from uuid import UUID

from chassis.db import Sessions
from services.snapshots.commands import blobs as commands
from services.snapshots.commands import losses
from services.snapshots.domain import Blob
from services.snapshots.queries import blobs as queries
from services.snapshots.store.port import Store
from services.snapshots.worker.measures import LOST

log = logging.getLogger(__name__)
_BATCH = 500
_STALE = timedelta(days=1)


class Garbage:
    """Any number of workers may do any of this at once."""

    def __init__(self, sessions: Sessions, store: Store) -> None:
        self._sessions, self._store = sessions, store

    async def collect(self) -> None:
        """Unlink the blobs that lost their last reference."""
        more = True
        while more:
            async with self._sessions.begin() as session:
                gone, more = await commands.collect(session)
                await self._remove(gone)

    async def _remove(self, digests: Sequence[str]) -> None:
        """Unlink them together, while the transaction is open. Whatever happens, nothing is under way when this ends: by
        then somebody else may be about to need one of them.
        """
        removals = (self._store.remove(digest) for digest in digests)
        work = asyncio.gather(*removals, return_exceptions=True)
        try:
            ends = await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work})
            raise
        for failure in filter(None, ends):
            raise failure

    async def sweep(self) -> None:
        """Mend whatever crashes and people at the disk left, without touching what a pull is about to use."""
        await self._store.sweep_partials(_STALE)
        await self._drop_unknown()
        async with self._sessions.begin() as session:
            await losses.find_stray(session)
        await self.collect()
        await self._find_lost()

    async def _drop_unknown(self) -> None:
        for batch in _batches(await self._store.digests()):
            async with self._sessions.begin() as session:
                unknown = await queries.unknown(session, batch)
            for digest in unknown:
                async with self._sessions.begin() as session:
                    if await losses.disown(session, digest):
                        log.warning("a file that nothing refers to is deleted: %s", digest)
                        await self._remove((digest,))

    async def _find_lost(self) -> None:
        after = ""
        while True:
            async with self._sessions.begin() as session:
                batch = await queries.needed(session, after=after, limit=_BATCH)
            for blob in batch:
                if await self._store.has(blob.digest) != blob.size:
                    await self._lose(blob)
            if len(batch) < _BATCH:
                return
            after = batch[-1].digest

    async def _lose(self, blob: Blob) -> None:
        async with self._sessions.begin() as session:
            organizations: Sequence[UUID] = await losses.affected_by(session, blob.digest)
        for organization_id in organizations:
            async with self._sessions.begin() as session:
                await losses.hold(session, blob.digest)
                if await self._store.has(blob.digest) == blob.size:
                    return
                snapshots = await losses.lose(session, organization_id, blob.digest)
            log.error(
                "a blob is missing or damaged in the store: %s",
                blob.digest,
                extra={"organizationId": organization_id, "deactivated": snapshots},
            )
        if organizations:
            LOST.inc()


def _batches(digests: Sequence[str]) -> Iterator[Sequence[str]]:
    return (digests[at : at + _BATCH] for at in range(0, len(digests), _BATCH))
