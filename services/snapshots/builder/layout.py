"""An image in a folder, as buildah writes it: an OCI image layout of one image. Trusted no more than a registry."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from services.snapshots.images import documents, manifests
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.manifests import Descriptor, Fetched
from services.snapshots.store.digests import digest_of, hex_of

_CHUNK = 1 << 20


class Layout:
    """Reads the image of one build."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def manifest(self, version: str) -> Fetched:
        index = documents.loads(await self._read(self._root / "index.json"), "index")
        [entry] = documents.objects(index, "manifests", "index")
        digest = documents.text(entry, "digest", "index")
        data = await self._read(self._blob(digest))
        if digest_of(data) != digest:
            raise PullFailed(Code.DIGEST_MISMATCH, "the manifest is not what it should be")
        return manifests.identified(data, documents.text(entry, "mediaType", "index"))

    async def config(self, descriptor: Descriptor) -> bytes:
        data = await self._read(self._blob(descriptor.digest))
        if digest_of(data) != descriptor.digest:
            raise PullFailed(Code.DIGEST_MISMATCH, "the config is not what it should be")
        return data

    async def blob(self, descriptor: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        with self._blob(descriptor.digest).open("rb") as file:
            file.seek(offset)
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk

    def _blob(self, digest: str) -> Path:
        return self._root / "blobs" / "sha256" / hex_of(digest)

    async def _read(self, path: Path) -> bytes:
        return await asyncio.to_thread(path.read_bytes)
