"""What a build made: out of buildah's storage, packed, into the store."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from services.snapshots.builder.archives import Archives
from services.snapshots.builder.buildah import Buildah
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
    """Of one claim's build, once its steps are done."""

    def __init__(self, tools: Tools, claim: Claim, admission: Admission) -> None:
        self._tools, self._claim, self._admission = tools, claim, admission

    async def store(self, ref: str, layers: Path, buildah: Buildah, report: Report) -> NewArtifact:
        """Return what is whole in the store then. Raises BuildFailed, PullFailed, or LeaseLost."""
        config = await asyncio.to_thread(buildah.config_of, buildah.made)
        if config is None:
            raise RuntimeError("the image that was built is not there")
        image, packed = await self._pack(config, layers, buildah.packed)
        return await self._bring(ref.partition(":")[0], image, packed, report)

    async def _pack(
        self, config: bytes, layers: Path, folder: Path
    ) -> tuple[MadeImage, Mapping[str, Packed]]:
        """Describe the image, and pack the layers that the store does not have of the organization yet."""
        diff_ids = image_config.diff_ids(documents.loads(config, "config"))
        shelf = Shelf(layers)
        blobs = await self._held(shelf.known(diff_ids))
        packed: Mapping[str, Packed] = {}
        if missing := [diff_id for diff_id in diff_ids if diff_id not in blobs]:
            archives = await asyncio.to_thread(Archives, layers)
            packed = await pack(archives, missing, folder)
            blobs |= {diff_id: layer.blob for diff_id, layer in packed.items()}
        shelf.keep({diff_id: blobs[diff_id] for diff_id in diff_ids})
        return MadeImage(config, [blobs[diff_id] for diff_id in diff_ids], folder), packed

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
