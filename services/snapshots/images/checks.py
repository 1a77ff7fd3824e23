"""Whether the layers of one image may be unpacked, and are those that its config names."""

import asyncio
from collections.abc import Sequence
from typing import BinaryIO

from services.snapshots.domain import LayerFacts
from services.snapshots.images.documents import invalid
from services.snapshots.images.layers import KnownLayers, inspect, most_unpacked
from services.snapshots.images.unpacking import Unpacked, too_large
from services.snapshots.store.port import Intake


async def _opened(store: Intake, digest: str) -> BinaryIO:
    """Open a blob; cancelled in that moment, leave no file open."""
    opening = asyncio.ensure_future(store.open(digest))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: "asyncio.Future[BinaryIO]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def inspected(unpacked: Unpacked) -> LayerFacts:
    """Read a layer in a thread; cancelled, return when nobody reads any more."""
    work = asyncio.get_running_loop().run_in_executor(None, inspect, unpacked)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        unpacked.abandon()
        await asyncio.wait([work])
        work.exception()
        raise


class Checks:
    """The checks of one pull; each raises PullFailed."""

    def __init__(self, store: Intake, known: KnownLayers, *, packed_bytes: int) -> None:
        self._store, self._known = store, known
        self._limit = most_unpacked(packed_bytes)
        self._facts: dict[str, LayerFacts] = {}

    async def recall(self, digests: Sequence[str]) -> None:
        """Take over what is known of these layers already."""
        self._facts |= await self._known.of(list(digests))

    async def check(self, digest: str) -> None:
        """Check a layer that is in the store, unless it is known."""
        if digest in self._facts:
            return
        with await _opened(self._store, digest) as file:
            facts = await inspected(Unpacked.of(file, self._limit))
        await self._known.note(digest, facts)
        self._facts[digest] = facts

    def compare(self, digests: Sequence[str], diff_ids: Sequence[str]) -> None:
        """Compare the layers, lowest first, with what the config says of them."""
        facts = [self._facts[digest] for digest in digests]
        for number, (found, said) in enumerate(zip(facts, diff_ids, strict=True), start=1):
            if found.diff_id != said:
                invalid(f"layer {number} unpacks to {found.diff_id}, its config says {said[:80]}")
        if sum(found.unpacked_bytes for found in facts) > self._limit:
            raise too_large(self._limit)
