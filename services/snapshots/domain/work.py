"""The work that makes a snapshot: what is claimed, what comes of it."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


class Setback(Exception):
    """Work that ended without an image: a stable word, the cause and what to do about it, both for people.

    `transient`: the same may succeed later, at the earliest after `retry_after` seconds.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        remedy: str,
        *,
        transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason, self.remedy = code, reason, remedy
        self.transient, self.retry_after = transient, retry_after


class StoreFull(Exception):
    """The store has no room for what was to be reserved."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a snapshot failed: a stable word, the cause and what to do about it, both for people."""

    code: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the store."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A pull, or a build, in the hands of one worker, for as long as nobody else claims it."""

    pull_id: UUID
    organization_id: UUID
    image_ref: str
    # Fetch this manifest, whatever the reference names. Empty: resolve the reference.
    digest: str
    attempt: int
    worker: str
    deadline_at: datetime
    # What is to be built. None: the image comes from a registry.
    build_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """An image that is whole and verified in the store. `digests`: further ones it was asked for by (its index)."""

    repository: str
    manifest_digest: str
    size_bytes: int
    entrypoint: list[str] | None
    config: dict[str, object]
    blobs: tuple[Blob, ...]
    digests: tuple[str, ...] = field(default=())
