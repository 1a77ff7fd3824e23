"""A built image, described by us: its layers are packed in a folder, or are in the store."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from services.snapshots.domain import Blob
from services.snapshots.images import manifests
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.manifests import Descriptor, Fetched
from services.snapshots.store.digests import digest_of, hex_of

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CHUNK = 1 << 20


class MadeImage:
    """One image, as a source of what is brought into the store. `layers`, lowest first."""

    def __init__(self, config: bytes, layers: Sequence[Blob], folder: Path) -> None:
        self._config, self._folder = config, folder
        described = {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_MANIFEST,
            "config": _descriptor(_CONFIG, Blob(digest_of(config), len(config))),
            "layers": [_descriptor(_LAYER, layer) for layer in layers],
        }
        self._manifest = json.dumps(described, separators=(",", ":")).encode()

    async def manifest(self, version: str) -> Fetched:
        return Fetched(manifests.OCI_MANIFEST, self._manifest)

    async def config(self, descriptor: Descriptor) -> bytes:
        return self._config

    async def blob(self, descriptor: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        path = self._folder / hex_of(descriptor.digest)
        if not path.exists():
            # It was in the store when the build looked.
            reason = f"{descriptor.digest} left the store while the image was built"
            raise PullFailed(Code.DIGEST_MISMATCH, reason, transient=True)
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk


def _descriptor(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}
