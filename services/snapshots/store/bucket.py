"""The store in an S3 bucket: whole blobs are objects; what is on its way is on a disk, as in the store there."""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import BinaryIO
from urllib.parse import quote, unquote

from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from services.snapshots.store.digests import digest_of, hex_of, is_digest
from services.snapshots.store.layout import OciLayoutStore
from services.snapshots.store.port import BlobMissing, ContentMismatch, Source, StoreAway

_BLOBS, _NAMES = "blobs/sha256/", "names/"
_PIECE, _PART = 1 << 20, 8 << 20
_MISSING = (NotFoundError, FileNotFoundError)


class BucketStore:
    """Shared by any number of processes of any number of machines; the spool by those of one.

    A blob is written to the spool, verified there and only then sent: the bucket never shows less than a whole one.
    """

    def __init__(self, bucket: S3Store, spool: OciLayoutStore) -> None:
        self._bucket, self._spool = bucket, spool

    async def has(self, digest: str) -> int | None:
        key = _blob(digest)
        try:
            with _away_named():
                found = await self._bucket.head_async(key)
        except _MISSING:
            return None
        return found["size"]

    async def read(self, digest: str, *, limit: int) -> bytes:
        key = _blob(digest)
        try:
            with _away_named():
                answer = await self._bucket.get_async(key)
                if answer.meta["size"] > limit:
                    raise ContentMismatch(f"larger than {limit} bytes")
                return bytes(await answer.bytes_async())
        except _MISSING as missing:
            raise BlobMissing(digest) from missing

    async def open(self, digest: str) -> BinaryIO:
        """A copy of its own, without a name: it stays whatever happens to the blob."""
        file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            async for piece in self._pieces(digest):
                await asyncio.to_thread(file.write, piece)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    async def digests(self) -> list[str]:
        # What somebody else put there is nothing of ours.
        names = [f"sha256:{name}" async for name, _ in self._listed(_BLOBS)]
        return [name for name in names if is_digest(name)]

    async def write_blob(self, digest: str, size: int, source: Source, *, owner: str) -> None:
        key = _blob(digest)
        await self._spool.write_blob(digest, size, source, owner=owner)
        try:
            file = await self._spool.open(digest)
        except BlobMissing:
            # Another writer of it was here too, and sent it meanwhile.
            if await self.has(digest) is None:
                raise
            return
        with file, _away_named():
            await self._bucket.put_async(key, _from(file), chunk_size=_PART)
        await self._spool.remove(digest)

    async def put_bytes(self, digest: str, data: bytes) -> None:
        key = _blob(digest)
        if digest_of(data) != digest:
            raise ContentMismatch(f"these bytes are not {digest}")
        with _away_named():
            await self._bucket.put_async(key, data)

    async def remove(self, digest: str) -> None:
        key = _blob(digest)
        with _away_named():
            await self._bucket.delete_async(key)

    async def verify(self, digest: str) -> bool:
        sha = hashlib.sha256()
        try:
            async for piece in self._pieces(digest):
                await asyncio.to_thread(sha.update, piece)
        except BlobMissing:
            return False
        return sha.hexdigest() == hex_of(digest)

    async def sweep_partials(self, older_than: timedelta) -> int:
        return await self._spool.sweep_partials(older_than)

    async def usage(self) -> int:
        sent = sum([size async for _, size in self._listed(_BLOBS)])
        return sent + await self._spool.usage()

    async def free(self) -> int:
        # A bucket does not say; what comes next must fit into the spool.
        return await self._spool.free()

    async def tag(self, name: str, manifest_digest: str, media_type: str) -> None:
        size = await self.has(manifest_digest)
        if size is None:
            raise BlobMissing(manifest_digest)
        entry = {"mediaType": media_type, "digest": manifest_digest, "size": size}
        with _away_named():
            await self._bucket.put_async(_name(name), json.dumps(entry).encode())

    async def untag(self, name: str) -> None:
        with _away_named():
            await self._bucket.delete_async(_name(name))

    async def tags(self) -> dict[str, str]:
        found = {}
        async for name, _ in self._listed(_NAMES):
            try:
                with _away_named():
                    answer = await self._bucket.get_async(_NAMES + name)
                    entry = bytes(await answer.bytes_async())
            except _MISSING:
                continue
            found[unquote(name)] = json.loads(entry)["digest"]
        return found

    async def _pieces(self, digest: str) -> AsyncIterator[bytes]:
        key = _blob(digest)
        with _away_named():
            try:
                answer = await self._bucket.get_async(key)
            except _MISSING as missing:
                raise BlobMissing(digest) from missing
            async for piece in answer.stream(min_chunk_size=_PIECE):
                yield bytes(piece)

    async def _listed(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        with _away_named():
            async for batch in self._bucket.list(prefix):
                for found in batch:
                    yield found["path"].removeprefix(prefix), found["size"]


@contextmanager
def _away_named() -> Iterator[None]:
    try:
        yield
    except NotFoundError:
        raise
    except BaseError as error:
        # Its words hold addresses and keys.
        raise StoreAway(f"the storage does not answer: {type(error).__name__}") from error


async def _from(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, _PIECE):
        yield piece


def _blob(digest: str) -> str:
    return _BLOBS + hex_of(digest)


def _name(name: str) -> str:
    # One segment, whatever the name is made of; `.` alone or twice would be none.
    return _NAMES + quote(name, safe="").replace(".", "%2E")
