"""An image on its way into the store, wherever it is: asked whether it may come, brought in, verified."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Set
from dataclasses import dataclass
from typing import Protocol

from services.snapshots.images import config, documents, manifests
from services.snapshots.images.attempts import Retries, persistent
from services.snapshots.images.checks import Checks
from services.snapshots.images.config import ImageConfig
from services.snapshots.images.downloads import Downloads
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.layers import Forgetful, KnownLayers
from services.snapshots.images.manifests import Descriptor, Fetched, Manifest
from services.snapshots.images.progress import Meter, Phase, Progress, Report
from services.snapshots.images.reference import ImageReference
from services.snapshots.store.port import Intake, StoreFull

_CONCURRENCY = 4


class Source(Protocol):
    """Where an image is. Every method is one attempt and raises PullFailed."""

    async def manifest(self, version: str) -> Fetched:
        """The manifest or index of a tag or digest; what a digest names is verified."""

    async def config(self, descriptor: Descriptor) -> bytes:
        """A blob that is small enough for memory, verified."""

    def blob(self, descriptor: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        """A blob's bytes from `offset` on; exactly as many as its descriptor says, or a failure."""


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """What a pull is about to bring in. `total_bytes` are config and layers, compressed."""

    name: str
    ref: str
    manifest: Fetched
    config: Descriptor
    layers: tuple[Descriptor, ...]
    total_bytes: int


@dataclass(frozen=True, slots=True)
class PulledImage:
    """An image that is whole and verified in the store. `ref` names exactly it."""

    ref: str
    manifest_digest: str
    manifest_type: str
    config_digest: str
    layer_digests: tuple[str, ...]
    size_bytes: int
    config: ImageConfig


# Called before any layer comes. Answers the digests that are in the store and that the caller may
# use; raises PullFailed to end the pull.
Plan = Callable[[ImagePlan], Awaitable[Set[str]]]


class Transfer:
    """Any number may run at once."""

    def __init__(
        self,
        store: Intake,
        *,
        retries: Retries | None = None,
        layers: KnownLayers | None = None,
        concurrency: int = _CONCURRENCY,
    ) -> None:
        self._store = store
        self._layers = layers or Forgetful()
        self._retries, self._concurrency = retries or Retries(), concurrency

    async def bring(
        self, source: Source, wanted: ImageReference, *, owner: str, plan: Plan, report: Report
    ) -> PulledImage:
        """Bring what `source` has of `wanted` in for `owner`; raises PullFailed."""
        fetched = await self._resolve(source, wanted.version)
        manifest = manifests.read(fetched)
        config_data = await persistent(self._retries, lambda: source.config(manifest.config))
        document = documents.loads(config_data, "config")
        settings = config.read(document, layer_count=len(manifest.order))
        planned = _planned(wanted, fetched, manifest)
        held = await plan(planned)
        checks = Checks(self._store, self._layers, packed_bytes=planned.total_bytes)
        await checks.recall(manifest.order)
        await self._put(planned.config.digest, config_data)
        await self._download(source, planned, held, checks, owner=owner, report=report)
        checks.compare(manifest.order, config.diff_ids(document))
        await self._seal(planned, report)
        return PulledImage(
            ref=planned.ref,
            manifest_digest=fetched.digest,
            manifest_type=fetched.media_type,
            config_digest=manifest.config.digest,
            layer_digests=tuple(layer.digest for layer in manifest.layers),
            size_bytes=manifest.total_bytes,
            config=settings,
        )

    async def _resolve(self, source: Source, version: str) -> Fetched:
        """The manifest of the image for our platform."""
        fetched = await persistent(self._retries, lambda: source.manifest(version))
        if not fetched.is_index:
            return fetched
        entry = manifests.chosen(fetched)
        inner = await persistent(self._retries, lambda: source.manifest(entry.digest))
        if inner.is_index:
            raise PullFailed(
                Code.IMAGE_INVALID, "the index holds another index where an image should be"
            )
        if len(inner.data) != entry.size:
            raise PullFailed(
                Code.DIGEST_MISMATCH,
                f"the manifest has {len(inner.data)} bytes, its index says {entry.size}",
            )
        return inner

    async def _download(
        self,
        source: Source,
        planned: ImagePlan,
        held: Set[str],
        checks: Checks,
        *,
        owner: str,
        report: Report,
    ) -> None:
        missing = [
            layer
            for layer in planned.layers
            # What should be here and is not, or is damaged visibly, comes again.
            if layer.digest not in held or await self._store.has(layer.digest) != layer.size
        ]
        meter = Meter(
            report, planned.total_bytes, planned.total_bytes - sum(layer.size for layer in missing)
        )
        downloads = Downloads(
            source, self._store, meter, checks, owner=owner, retries=self._retries
        )
        await downloads.fetch(missing, concurrency=self._concurrency)
        for layer in planned.layers:
            # What did not have to come may be here from before it was asked what is in it.
            await checks.check(layer.digest)

    async def _seal(self, planned: ImagePlan, report: Report) -> None:
        """Write the manifest, last of all, once everything it names is there."""
        report(Progress(Phase.VERIFYING, planned.total_bytes, planned.total_bytes))
        for part in (planned.config, *planned.layers):
            if await self._store.has(part.digest) != part.size:
                reason = f"{part.digest} left the store while the image came"
                raise PullFailed(Code.DIGEST_MISMATCH, reason, transient=True)
        await self._put(planned.manifest.digest, planned.manifest.data)

    async def _put(self, digest: str, data: bytes) -> None:
        try:
            await self._store.put_bytes(digest, data)
        except StoreFull as error:
            raise PullFailed(Code.STORE_FULL, str(error)) from error


def _planned(wanted: ImageReference, fetched: Fetched, manifest: Manifest) -> ImagePlan:
    return ImagePlan(
        name=wanted.name,
        ref=wanted.at(fetched.digest),
        manifest=fetched,
        config=manifest.config,
        layers=manifest.layers,
        total_bytes=manifest.total_bytes,
    )
