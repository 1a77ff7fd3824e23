"""What any store promises, and how it refuses."""

from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import BinaryIO, Protocol

# Yields the bytes of a blob from the given offset on.
Source = Callable[[int], AsyncGenerator[bytes, None]]


class StoreFull(Exception):
    """The disk, or the quota on it, has no room for these bytes."""


class ContentMismatch(Exception):
    """The bytes are not those the digest and size name. They were deleted."""


class BlobTruncated(Exception):
    """The source ended before the blob did. What came is kept and can be resumed."""


class BlobMissing(LookupError):
    """The store does not hold this blob."""


class StoreAway(OSError):
    """What keeps the bytes does not answer; it may in a while."""


class Intake(Protocol):
    """The way into a store: all that bringing an image in needs of it."""

    async def has(self, digest: str) -> int | None:
        """The size of a blob that is here, whole."""

    async def write_blob(self, digest: str, size: int, source: Source, *, owner: str) -> None:
        """Take a blob in, resuming what `owner` left of it; visible only when whole and verified.

        Always reads `source`, even if the blob is here: only who can fetch all its bytes may use
        it. The exception is a concurrent write of the same owner, whose result is shared.
        """

    async def put_bytes(self, digest: str, data: bytes) -> None:
        """Take a small blob in at once."""

    async def open(self, digest: str) -> BinaryIO:
        """A blob as a file; the caller closes it. It stays readable after `remove`."""


class Store(Intake, Protocol):
    """Content-addressed blobs. Every method refuses a malformed digest with InvalidDigest."""

    async def read(self, digest: str, *, limit: int) -> bytes:
        """A small blob; BlobMissing, or ContentMismatch when it is larger than `limit`."""

    async def digests(self) -> list[str]:
        """Every blob that is here."""

    async def remove(self, digest: str) -> None:
        """Delete a blob; nothing happens if it is not here."""

    async def verify(self, digest: str) -> bool:
        """Whether a blob is here and its bytes still have its digest."""

    async def sweep_partials(self, older_than: timedelta) -> int:
        """Delete downloads nobody touched for so long; answers the bytes reclaimed."""

    async def usage(self) -> int:
        """Bytes held, partial downloads included."""

    async def free(self) -> int:
        """Bytes the disk has left for us."""

    async def tag(self, name: str, manifest_digest: str, media_type: str) -> None:
        """Name a manifest that is here, so that other tools find it; an old meaning is replaced."""

    async def untag(self, name: str) -> None:
        """Forget a name; nothing happens if it is not known."""

    async def tags(self) -> dict[str, str]:
        """Every name and the manifest digest it means."""
