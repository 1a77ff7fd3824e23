"""What a build made: out of buildah's storage, packed, into the store."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from services.snapshots.builder.archives import Archives
from services.snapshots.builder.made import MadeImage
from services.snapshots.builder.packing import Packed, pack
from services.snapshots.builder.shelf import Shelf
from services.snapshots.domain import DEFAULT_ENTRYPOINT, Blob, Claim, NewArtifact
from services.snapshots.images import config as image_config
from services.snapshots.images import documents
from services.snapshots.images.progress import Report
from services.snapshots.images.reference import ImageReference
from services.snapshots.images.transfer import Transfer
from services.snapshots.queries.layers import held
from services.snapshots.worker.admission import Admission
from services.snapshots.worker.intake import RecordedIntake
from services.snapshots.worker.layers import ReadLayers
from services.snapshots.worker.outages import steadily
from services.snapshots.worker.tools import Tools


class Output:
    """Of one claim's build: `layers` are its organization's, `folder` is for what is packed of them."""

    def __init__(
        self, tools: Tools, claim: Claim, admission: Admission, layers: Path, folder: Path
    ) -> None:
        self._tools, self._claim, self._admission = tools, claim, admission
        self._layers, self._folder, self._shelf = layers, folder, Shelf(layers)
        self._stored: dict[str, Blob] = {}
        self._early: asyncio.Future[dict[str, Packed]] | None = None

    @asynccontextmanager
    async def ahead(self, base: bytes | None) -> AsyncIterator[None]:
        """Pack what an image of this config has already, while its steps are done."""
        if base is None:
            yield
            return
        self._early = asyncio.ensure_future(self._pack(_diff_ids(base), at_once=1))
        try:
            yield
        finally:
            self._early.cancel()
            # Why it failed matters to nobody when the steps have failed.
            await asyncio.gather(self._early, return_exceptions=True)

    async def store(self, ref: str, config: bytes, report: Report) -> NewArtifact:
        """Return what is whole in the store then, once the steps are done. Raises PullFailed, or LeaseLost."""
        diff_ids, packed = _diff_ids(config), dict(await self._early) if self._early else {}
        packed |= await self._pack(
            [diff_id for diff_id in diff_ids if diff_id not in packed],
            at_once=os.cpu_count() or 1,
        )
        blobs = {diff_id: layer.blob for diff_id, layer in packed.items()} | self._stored
        self._shelf.keep({diff_id: blobs[diff_id] for diff_id in diff_ids})
        image = MadeImage(config, [blobs[diff_id] for diff_id in diff_ids], self._folder)
        return await self._bring(ref.partition(":")[0], image, packed, report)

    async def _pack(self, diff_ids: Sequence[str], *, at_once: int) -> dict[str, Packed]:
        """Pack those of these layers that the store does not have of the organization yet."""
        self._stored |= await self._held(self._shelf.known(diff_ids))
        if not (missing := [diff_id for diff_id in diff_ids if diff_id not in self._stored]):
            return {}
        archives = await asyncio.to_thread(Archives, self._layers)
        return await pack(archives, missing, self._folder, at_once=at_once)

    async def _held(self, known: Mapping[str, Blob]) -> dict[str, Blob]:
        async def ask() -> set[str]:
            digests = [blob.digest for blob in known.values()]
            async with self._tools.sessions() as session:
                return await held(session, self._claim.organization_id, digests)

        stored = await steadily(ask) if known else set()
        store = self._tools.store
        return {
            diff_id: blob
            for diff_id, blob in known.items()
            # What should be there and is not comes again.
            if blob.digest in stored and await store.has(blob.digest) == blob.size
        }

    async def _bring(
        self, name: str, image: MadeImage, packed: Mapping[str, Packed], report: Report
    ) -> NewArtifact:
        tools, claim = self._tools, self._claim
        intake = RecordedIntake(tools.store, tools.sessions, claim)
        facts = {layer.blob.digest: layer.facts for layer in packed.values()}
        transfer = Transfer(intake, layers=ReadLayers(tools.sessions, facts))
        made = await transfer.bring(
            image,
            ImageReference("localhost", name, tag="built"),
            owner=str(claim.organization_id),
            plan=self._admission.admit,
            report=report,
        )
        return NewArtifact(
            repository=name,
            manifest_digest=made.manifest_digest,
            size_bytes=made.size_bytes,
            entrypoint=list(made.config.entrypoint) or DEFAULT_ENTRYPOINT,
            config=asdict(made.config),
            blobs=self._admission.blobs,
        )


def _diff_ids(config: bytes) -> tuple[str, ...]:
    return image_config.diff_ids(documents.loads(config, "config"))
