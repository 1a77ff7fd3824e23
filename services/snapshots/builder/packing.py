"""The layers of a built image, from plain archives to the blobs that are stored."""

import asyncio
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from isal import isal_zlib

from services.snapshots.domain import Blob, LayerFacts
from services.snapshots.images.checks import inspected
from services.snapshots.images.layers import most_unpacked
from services.snapshots.store.digests import hex_of

_PIECE = 1 << 20
# As gzip, which every tool reads. More would cost more time than the bytes that it saves.
_LEVEL, _GZIP = 1, 31


@dataclass(frozen=True, slots=True)
class Packed:
    """A layer as it is stored, in a file named after its digest; what was found out when it was read."""

    blob: Blob
    facts: LayerFacts


async def pack(plain: Path, folder: Path, diff_ids: Iterable[str]) -> dict[str, Packed]:
    """Pack the archives of these layers, each in a file of `plain` named after its digest, into `folder`."""
    places = asyncio.Semaphore(os.cpu_count() or 1)
    packed: dict[str, Packed] = {}

    async def one(diff_id: str) -> None:
        async with places:
            packed[diff_id] = await _pack(plain / hex_of(diff_id), folder)

    async with asyncio.TaskGroup() as group:
        for diff_id in set(diff_ids):
            group.create_task(one(diff_id))
    return packed


async def _pack(archive: Path, folder: Path) -> Packed:
    with archive.open("rb") as file:
        limit = most_unpacked(os.fstat(file.fileno()).st_size)
        async with asyncio.TaskGroup() as group:
            facts = group.create_task(inspected(file, limit))
            blob = group.create_task(_compress(archive, folder))
    return Packed(blob.result(), facts.result())


async def _compress(archive: Path, folder: Path) -> Blob:
    packer, sha = isal_zlib.compressobj(_LEVEL, wbits=_GZIP), hashlib.sha256()
    unnamed = folder / f"{archive.name}.part"
    with archive.open("rb") as file, unnamed.open("wb") as out:
        # Piece by piece, so that a build that is cancelled stops packing.
        while await asyncio.to_thread(_step, file, packer, sha, out):
            pass
        size = out.tell()
    await asyncio.to_thread(unnamed.rename, folder / sha.hexdigest())
    return Blob(f"sha256:{sha.hexdigest()}", size)


def _step(archive: BinaryIO, packer: Any, sha: Any, out: BinaryIO) -> bool:
    piece = archive.read(_PIECE)
    data = packer.compress(piece) if piece else packer.flush()
    sha.update(data)
    out.write(data)
    return bool(piece)
