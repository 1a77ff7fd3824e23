"""The contexts in the bucket: brought to builds, and thrown away when they are old."""

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from uuid import UUID

from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from services.snapshots.contexts.digests import contradicts, is_digest
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.contexts.unpacking import ArchiveRefused, unpack
from services.snapshots.domain.contexts import ContextInvalid, ContextMissing, ContextsAway

if TYPE_CHECKING:
    from obstore.store import ClientConfig

log = logging.getLogger(__name__)
_PIECE = 1 << 20
_BATCH = 500


class S3Contexts:
    """What organizations uploaded, read with the rights of the installation."""

    def __init__(self, bucket: S3Store, *, most_bytes: int, most_entries: int) -> None:
        self._bucket = bucket
        self._most_bytes, self._most_entries = most_bytes, most_entries

    async def unpack(self, organization_id: UUID, digest: str, folder: Path) -> str:
        if not is_digest(digest):
            raise ContextInvalid(digest, "it is no digest of a context")
        # Beside the folder rather than in it: the archive is no part of the context.
        with tempfile.TemporaryFile(dir=folder.parent) as archive:
            sha256 = await self._fetch(f"{organization_id}/{digest}/context.tar", digest, archive)
            await asyncio.to_thread(self._open, archive, folder, digest, sha256)
        return sha256

    async def expire(self, older_than: timedelta) -> int:
        """Delete what was uploaded so long ago; return how many."""
        before, gone = datetime.now(UTC) - older_than, 0
        async for paths in self._aged(before):
            await self._bucket.delete_async(paths)
            gone += len(paths)
        return gone

    async def _fetch(self, key: str, digest: str, archive: BinaryIO) -> str:
        hasher, size = hashlib.sha256(), 0
        try:
            answer = await self._bucket.get_async(key)
            if answer.meta["size"] > self._most_bytes:
                raise ContextInvalid(digest, f"it is larger than {self._most_bytes} bytes")
            async for piece in answer.stream(min_chunk_size=_PIECE):
                size += len(piece)
                if size > self._most_bytes:
                    raise ContextInvalid(digest, f"it is larger than {self._most_bytes} bytes")
                await asyncio.to_thread(_keep, archive, hasher, bytes(piece))
        except (NotFoundError, FileNotFoundError) as missing:
            raise ContextMissing(digest) from missing
        except BaseError as away:
            log.warning("a build context cannot be read: %s", type(away).__name__)
            raise ContextsAway("the storage for build contexts does not answer") from away
        return hasher.hexdigest()

    def _open(self, archive: BinaryIO, folder: Path, digest: str, sha256: str) -> None:
        most_bytes, most_entries = self._most_bytes, self._most_entries
        try:
            found = unpack(archive, folder, most_bytes=most_bytes, most_entries=most_entries)
        except ArchiveRefused as refused:
            raise ContextInvalid(digest, str(refused)) from refused
        if contradicts(digest, sha256, archive, found):
            raise ContextInvalid(digest, "its contents are not what its digest says")

    async def _aged(self, before: datetime) -> AsyncIterator[list[str]]:
        async for batch in self._bucket.list(chunk_size=_BATCH):
            if paths := [o["path"] for o in batch if o["last_modified"] < before]:
                yield paths


def bucket_of(settings: ContextsSettings, bucket: str = "") -> S3Store:
    """Open the bucket of contexts, or another one of the same storage."""
    client: ClientConfig = {
        "allow_http": settings.endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=10),
        # Of a whole answer, and an archive may be large.
        "timeout": timedelta(minutes=30),
    }
    if settings.ca_file is not None:
        client["root_certificate"] = settings.ca_file.read_bytes()
    return S3Store(
        bucket=bucket or settings.bucket,
        endpoint=settings.endpoint,
        region=settings.region,
        access_key_id=settings.access_key,
        secret_access_key=settings.secret_key.get_secret_value(),
        client_options=client,
        # A storage that has just been started anew answers before it has all of its volumes.
        retry_config={
            "max_retries": 8,
            "backoff": {"max_backoff": timedelta(seconds=5)},
            "retry_timeout": timedelta(minutes=1),
        },
    )


def _keep(archive: BinaryIO, hasher: "hashlib._Hash", piece: bytes) -> None:
    hasher.update(piece)
    archive.write(piece)
