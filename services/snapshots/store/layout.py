"""The store on a disk: an OCI image layout that other tools can read."""

import asyncio
import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from datetime import timedelta
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from services.snapshots.store.digests import digest_of, hex_of, is_digest
from services.snapshots.store.names import Names, replace
from services.snapshots.store.partials import BATCH, SEALED, Writer, lock_now, locked
from services.snapshots.store.port import BlobMissing, ContentMismatch, Source, StoreFull

_OWNER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class OciLayoutStore:
    """A folder in the OCI image layout, shared by any number of processes of one machine."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._partials = root / "partial"
        for folder in (root, self._blobs, self._partials):
            folder.mkdir(mode=0o770, parents=True, exist_ok=True)
        if not (marker := root / "oci-layout").exists():
            version = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
            replace(marker, version, temporary=self._partials, mode=0o640)
        self._names = Names(root)

    async def has(self, digest: str) -> int | None:
        return await asyncio.to_thread(_size, self._blob(digest))

    async def read(self, digest: str, *, limit: int) -> bytes:
        return await asyncio.to_thread(_read, self._blob(digest), limit)

    async def open(self, digest: str) -> BinaryIO:
        return await asyncio.to_thread(_open, self._blob(digest))

    async def digests(self) -> list[str]:
        return await asyncio.to_thread(_digests, self._blobs)

    async def write_blob(self, digest: str, size: int, source: Source, *, owner: str) -> None:
        blob, partial = self._blob(digest), self._partial(digest, owner)
        file = await locked(partial, blob)
        if file is None:
            return
        with Writer(file, size) as writer, _discarding(partial):
            await writer.resume()
            if writer.position < size:
                await _fill(writer, source)
            await writer.complete(hex_of(digest))
            await writer.publish(partial, blob)

    async def put_bytes(self, digest: str, data: bytes) -> None:
        blob = self._blob(digest)
        if digest_of(data) != digest:
            raise ContentMismatch(f"these bytes are not {digest}")
        with _full_disk_named():
            await asyncio.to_thread(replace, blob, data, temporary=self._partials, mode=SEALED)

    async def remove(self, digest: str) -> None:
        await asyncio.to_thread(self._blob(digest).unlink, missing_ok=True)

    async def verify(self, digest: str) -> bool:
        return await asyncio.to_thread(_intact, self._blob(digest))

    async def sweep_partials(self, older_than: timedelta) -> int:
        before = time.time() - older_than.total_seconds()
        return await asyncio.to_thread(_sweep, self._partials, before)

    async def usage(self) -> int:
        return await asyncio.to_thread(lambda: sum(map(_total, (self._blobs, self._partials))))

    async def free(self) -> int:
        disk = await asyncio.to_thread(os.statvfs, self._blobs)
        return disk.f_bavail * disk.f_frsize

    async def tag(self, name: str, manifest_digest: str, media_type: str) -> None:
        size = await self.has(manifest_digest)
        if size is None:
            raise BlobMissing(manifest_digest)
        entry = {"mediaType": media_type, "digest": manifest_digest, "size": size}
        await asyncio.to_thread(self._names.put, name, entry)

    async def untag(self, name: str) -> None:
        await asyncio.to_thread(self._names.drop, name)

    async def tags(self) -> dict[str, str]:
        return await asyncio.to_thread(self._names.all)

    def _blob(self, digest: str) -> Path:
        return self._blobs / hex_of(digest)

    def _partial(self, digest: str, owner: str) -> Path:
        # Of one owner only: resuming what another owner left would hand over bytes that were
        # fetched with the other's rights.
        if not _OWNER.fullmatch(owner):
            raise ValueError(f"not a name for an owner: {owner[:100]!r}")
        return self._partials / f"{owner}.{hex_of(digest)}"


async def _fill(writer: Writer, source: Source) -> None:
    try:
        async with aclosing(source(writer.position)) as chunks:
            async for chunk in chunks:
                await writer.add(chunk)
    except ContentMismatch:
        raise
    except Exception:
        await writer.keep()
        raise


@contextmanager
def _discarding(partial: Path) -> Iterator[None]:
    """Delete a partial that cannot become a blob; keep it for anything else that goes wrong."""
    try:
        with _full_disk_named():
            yield
    except (ContentMismatch, StoreFull):
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull("the disk of the store is full") from error
        raise


def _size(blob: Path) -> int | None:
    try:
        return blob.stat().st_size
    except FileNotFoundError:
        return None


def _open(blob: Path) -> BinaryIO:
    try:
        return blob.open("rb")
    except FileNotFoundError as error:
        raise BlobMissing(f"sha256:{blob.name}") from error


def _read(blob: Path, limit: int) -> bytes:
    with _open(blob) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ContentMismatch(f"larger than {limit} bytes")
    return data


def _intact(blob: Path) -> bool:
    try:
        with FileIO(blob) as file:
            sha, buffer = hashlib.sha256(), bytearray(BATCH)
            while count := file.readinto(buffer):
                sha.update(memoryview(buffer)[:count])
    except FileNotFoundError:
        return False
    return sha.hexdigest() == blob.name


def _sweep(folder: Path, before: float) -> int:
    freed = 0
    for path in folder.iterdir():
        try:
            # Not for writing: what was about to become a blob by one stroke is sealed already.
            with FileIO(path) as file:
                stat = os.fstat(file.fileno())
                if stat.st_mtime < before and lock_now(file):
                    path.unlink()
                    freed += stat.st_size
        except (FileNotFoundError, IsADirectoryError):
            continue  # its writer finished, or another sweep was faster; or it is nothing of ours
    return freed


def _digests(folder: Path) -> list[str]:
    # What somebody else put there is nothing of ours.
    return [name for entry in os.scandir(folder) if is_digest(name := f"sha256:{entry.name}")]


def _total(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        total += _size(path) or 0
    return total
