"""The layers of a built image, read once: packed, and asked what is in them."""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from isal import isal_zlib

from services.snapshots.builder.archives import ArchiveBroken, Archives
from services.snapshots.domain import Blob, LayerFacts
from services.snapshots.images.checks import inspected
from services.snapshots.images.layers import most_unpacked
from services.snapshots.images.unpacking import Unpacked

# As gzip, which every tool reads. More would cost more time than the bytes that it saves.
_LEVEL, _GZIP = 1, 31


@dataclass(frozen=True, slots=True)
class Packed:
    """A layer as it is stored, in a file named after its digest; what was found out when it was read."""

    blob: Blob
    facts: LayerFacts


async def pack(
    archives: Archives, diff_ids: Iterable[str], folder: Path, *, at_once: int
) -> dict[str, Packed]:
    """Pack these layers into `folder`. Raises PullFailed when one holds what none may."""
    places = asyncio.Semaphore(at_once)
    packed: dict[str, Packed] = {}

    async def one(diff_id: str) -> None:
        async with places:
            packed[diff_id] = await _pack(archives, diff_id, folder)

    try:
        async with asyncio.TaskGroup() as group:
            for diff_id in sorted(set(diff_ids)):
                group.create_task(one(diff_id))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return packed


async def _pack(archives: Archives, diff_id: str, folder: Path) -> Packed:
    limit = most_unpacked(archives.size(diff_id))
    path = folder / f"{diff_id}.part"
    with path.open("wb") as out:
        packer = _Packer(out)
        facts = await inspected(Unpacked(packer.passing(archives.pieces(diff_id)), limit))
        blob = packer.finish()
    if facts.diff_id != diff_id:
        raise ArchiveBroken(f"the layer {diff_id} became {facts.diff_id}")
    await asyncio.to_thread(path.rename, folder / blob.digest.removeprefix("sha256:"))
    return Packed(blob, facts)


class _Packer:
    """Packs what somebody else reads."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._sha = out, hashlib.sha256()
        self._deflate = isal_zlib.compressobj(_LEVEL, wbits=_GZIP)

    def passing(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._write(self._deflate.compress(piece))
            yield piece

    def finish(self) -> Blob:
        self._write(self._deflate.flush())
        return Blob(f"sha256:{self._sha.hexdigest()}", self._out.tell())

    def _write(self, data: bytes) -> None:
        self._sha.update(data)
        self._out.write(data)
