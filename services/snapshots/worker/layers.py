"""What is known of layers, kept with their blobs for every worker."""

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
