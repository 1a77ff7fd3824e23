"""Rows, blobs and usage held against one another, while everything goes on."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from chassis.db import Sessions, connect
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.domain import Blob
from services.snapshots.queries import audit as rows
from services.snapshots.queries import blobs
from services.snapshots.store.port import Store
from services.snapshots.worker.settings import AuditSettings
from services.snapshots.worker.stores import store_of

_BATCH = 500
# Of one kind: whoever has more knows enough.
_MOST = 100


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """What was asked, about whom, and what is wrong there."""

    question: str
    about: str
    wrong: str


class Audit:
    """Changes nothing, and finds nothing in what is only under way. Everything is looked at twice before it is reported:
    rows and files are read at different moments.
    """

    def __init__(self, sessions: Sessions, store: Store) -> None:
        self._sessions, self._store = sessions, store

    async def run(self, *, every_byte: bool) -> list[Discrepancy]:
        """Return what does not agree; `every_byte`: read all blobs, not only their sizes."""
        found = await self._look(every_byte=every_byte)
        if not found:
            return []
        again = set(await self._look(every_byte=every_byte))
        return [one for one in found if one in again]

    async def _look(self, *, every_byte: bool) -> list[Discrepancy]:
        async with self._sessions.begin() as session:
            found = [Discrepancy(*answer) for answer in await rows.answers(session, limit=_MOST)]
        found += [one async for one in self._unknown()]
        return found + [one async for one in self._lost(every_byte=every_byte)]

    async def _unknown(self) -> AsyncIterator[Discrepancy]:
        # The files first: a file comes only after its row, and is unlinked before the row's deletion is committed.
        for batch in _batches(await self._store.digests()):
            async with self._sessions.begin() as session:
                unknown = await blobs.unknown(session, batch)
            for digest in unknown:
                if await self._store.has(digest) is not None:
                    yield Discrepancy("file that no row knows", digest, "it is in the store")

    async def _lost(self, *, every_byte: bool) -> AsyncIterator[Discrepancy]:
        async for blob in self._needed():
            size = await self._store.has(blob.digest)
            if size is None:
                yield Discrepancy("blob that is needed", blob.digest, "it is not in the store")
            elif size != blob.size:
                wrong = f"it has {size} bytes instead of {blob.size}"
                yield Discrepancy("blob that is needed", blob.digest, wrong)
            elif every_byte and not await self._store.verify(blob.digest):
                yield Discrepancy("blob that is needed", blob.digest, "its bytes are damaged")

    async def _needed(self) -> AsyncIterator[Blob]:
        after = ""
        while True:
            async with self._sessions.begin() as session:
                batch = await blobs.needed(session, after=after, limit=_BATCH)
            for blob in batch:
                yield blob
            if len(batch) < _BATCH:
                return
            after = batch[-1].digest


def _batches(digests: Sequence[str]) -> Iterator[Sequence[str]]:
    return (digests[at : at + _BATCH] for at in range(0, len(digests), _BATCH))


async def audit(
    settings: AuditSettings, contexts: ContextsSettings, *, every_byte: bool
) -> dict[str, Any]:
    """Look at everything once; return it as `ratoon doctor --deep` shows it."""
    async with _sessions(settings.database_url.get_secret_value()) as sessions:
        found = await Audit(sessions, store_of(settings, contexts)).run(every_byte=every_byte)
    return {"discrepancies": [asdict(one) for one in found]}


@asynccontextmanager
async def _sessions(url: str) -> AsyncIterator[Sessions]:
    # A look at everything takes longer than what somebody waits for.
    database = await connect(
        url, application="snapshots audit", sessions=1, hot=1, statement_timeout="600000"
    )
    try:
        yield database.sessions
    finally:
        await database.close()
