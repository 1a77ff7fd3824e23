"""What is known of layers, kept with their blobs for every worker."""

from collections.abc import Mapping

from chassis.db import Sessions
from services.snapshots.commands import blobs
from services.snapshots.domain import LayerFacts
from services.snapshots.queries import layers
from services.snapshots.worker.outages import steadily


class RecordedLayers:
    """See images.layers.KnownLayers."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def of(self, digests: list[str]) -> dict[str, LayerFacts]:
        async def ask() -> dict[str, LayerFacts]:
            async with self._sessions() as session:
                return await layers.known(session, digests)

        return await steadily(ask)

    async def note(self, digest: str, facts: LayerFacts) -> None:
        async def tell() -> None:
            async with self._sessions.begin() as session:
                await blobs.describe(session, digest, facts)

        await steadily(tell)


class ReadLayers(RecordedLayers):
    """Some were read before they came, and are not read again: `facts` by digest."""

    def __init__(self, sessions: Sessions, facts: Mapping[str, LayerFacts]) -> None:
        super().__init__(sessions)
        self._facts = facts

    async def of(self, digests: list[str]) -> dict[str, LayerFacts]:
        for digest, facts in self._facts.items():
            await self.note(digest, facts)
        return await super().of(digests)
