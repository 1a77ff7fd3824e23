"""Whether an image may come into the store, and which of its parts are there for its organization already."""

from collections.abc import Set

from services.snapshots.commands import blobs
from services.snapshots.domain import Blob, Claim, StoreFull
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.transfer import ImagePlan
from services.snapshots.queries.blobs import reserved_bytes
from services.snapshots.worker.lease import LeaseLost
from services.snapshots.worker.outages import steadily
from services.snapshots.worker.tools import Tools

_GIB = 1 << 30


class Admission:
    """Of the image of one claim. `size` and `blobs` are known as soon as its manifest is."""

    def __init__(self, tools: Tools, claim: Claim) -> None:
        self._tools, self._claim = tools, claim
        self.blobs: tuple[Blob, ...] = ()
        self.size: int | None = None

    async def admit(self, image: ImagePlan) -> Set[str]:
        """Decide whether the image may come; return the blobs that need not."""
        self.size, self.blobs = image.total_bytes, _blobs(image)
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
        return {blob.digest for blob in self.blobs} - set(missing)

    async def _pin(self) -> list[str]:
        capacity = await self._tools.room.capacity()

        async def pin() -> list[str] | None:
            async with self._tools.sessions.begin() as session:
                return await blobs.pin(session, self._claim, self.blobs, capacity=capacity)

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


def _blobs(image: ImagePlan) -> tuple[Blob, ...]:
    manifest = Blob(image.manifest.digest, len(image.manifest.data))
    parts = (Blob(part.digest, part.size) for part in (image.config, *image.layers))
    return (manifest, *parts)


def _too_large(size: int, limit: int) -> str:
    return (
        f"the image has {size} bytes ({size / _GIB:.2f} GiB), compressed; "
        f"the organization's limit is {limit} GiB"
    )
