"""An image on its way in: asked for, admitted or refused, put into the store."""

from collections.abc import Set
from dataclasses import asdict, replace

from services.snapshots.commands import blobs
from services.snapshots.domain import Blob, Claim, NewArtifact, StoreFull
from services.snapshots.domain.credentials import Credential
from services.snapshots.images import reference
from services.snapshots.images.auth import Credentials, CredentialsFor
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.progress import Report
from services.snapshots.images.puller import ImagePlan, PulledImage, Puller
from services.snapshots.images.reference import InvalidReference
from services.snapshots.queries.blobs import reserved_bytes
from services.snapshots.worker.intake import RecordedIntake
from services.snapshots.worker.layers import RecordedLayers
from services.snapshots.worker.lease import LeaseLost
from services.snapshots.worker.outages import steadily
from services.snapshots.worker.tools import Tools

_GIB = 1 << 30


class Arrival:
    """The image of one claim. `size` is known as soon as its manifest is."""

    def __init__(self, tools: Tools, claim: Claim) -> None:
        self._tools, self._claim = tools, claim
        self._blobs: tuple[Blob, ...] = ()
        self.size: int | None = None

    async def bring(self, report: Report) -> NewArtifact:
        """Return what is whole in the store then. Raises PullFailed, or LeaseLost."""
        tools, claim = self._tools, self._claim
        intake, layers = (
            RecordedIntake(tools.store, tools.sessions, claim),
            RecordedLayers(tools.sessions),
        )
        puller = Puller(tools.http, intake, layers=layers)
        wanted, owner = _wanted(claim), str(claim.organization_id)
        pulled = await puller.pull(
            wanted,
            owner=owner,
            plan=self._admit,
            report=report,
            credentials=await self._credentials(wanted),
        )
        return self._artifact(wanted, pulled)

    async def _credentials(self, wanted: str) -> CredentialsFor:
        """Return what the organization has, for the one host that it is for."""

        async def find() -> Credential | None:
            return await self._tools.credentials.of(self._claim.organization_id, wanted)

        found = await steadily(find)

        def present(host: str) -> Credentials | None:
            if found is None or found.host != host:
                return None
            return Credentials(found.username, found.secret)

        return present

    async def _admit(self, image: ImagePlan) -> Set[str]:
        """Decide whether the image may come; return the blobs that need not."""
        self.size, self._blobs = image.total_bytes, _blobs(image)
        limit = await self._tools.largest_image(self._claim.organization_id)
        if image.total_bytes > limit * _GIB:
            raise PullFailed(Code.IMAGE_TOO_LARGE, _too_large(image.total_bytes, limit))
        try:
            missing = await self._pin()
        except StoreFull:
            await self._tools.garbage.collect()
            try:
                missing = await self._pin()
            except StoreFull as full:
                raise PullFailed(Code.STORE_FULL, await self._full(image)) from full
        return {blob.digest for blob in self._blobs} - set(missing)

    async def _pin(self) -> list[str]:
        capacity = await self._tools.room.capacity()

        async def pin() -> list[str] | None:
            async with self._tools.sessions.begin() as session:
                return await blobs.pin(session, self._claim, self._blobs, capacity=capacity)

        missing = await steadily(pin)
        if missing is None:
            raise LeaseLost
        return missing

    async def _full(self, image: ImagePlan) -> str:
        async with self._tools.sessions.begin() as session:
            taken = await reserved_bytes(session)
        return (
            f"the store may hold {await self._tools.room.capacity()} bytes and {taken} are taken; "
            f"the image has {image.total_bytes}"
        )

    def _artifact(self, wanted: str, pulled: PulledImage) -> NewArtifact:
        asked = reference.parse(wanted)
        return NewArtifact(
            repository=asked.name,
            manifest_digest=pulled.manifest_digest,
            size_bytes=pulled.size_bytes,
            entrypoint=list(pulled.config.entrypoint) or None,
            config=asdict(pulled.config),
            blobs=self._blobs,
            digests=(asked.digest,) if asked.digest else (),
        )


def _wanted(claim: Claim) -> str:
    """Return the image to ask for; a reference that nobody can read is refused by who reads it."""
    if not claim.digest:
        return claim.image_ref
    try:
        return str(replace(reference.parse(claim.image_ref), digest=claim.digest))
    except InvalidReference:
        return claim.image_ref


def _blobs(image: ImagePlan) -> tuple[Blob, ...]:
    manifest = Blob(image.manifest.digest, len(image.manifest.data))
    parts = (Blob(part.digest, part.size) for part in (image.config, *image.layers))
    return (manifest, *parts)


def _too_large(size: int, limit: int) -> str:
    return (
        f"the image has {size} bytes ({size / _GIB:.2f} GiB), compressed; "
        f"the organization's limit is {limit} GiB"
    )
