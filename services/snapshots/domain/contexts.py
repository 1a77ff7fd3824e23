"""What a Dockerfile copies from: archives that an organization uploaded."""

from pathlib import Path
from typing import Protocol
from uuid import UUID


class ContextMissing(Exception):
    """Nothing, or nothing any more, was uploaded under this digest."""

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest


class ContextInvalid(Exception):
    """What was uploaded is not what its digest says, or is no archive that may be unpacked; `why` is for people."""

    def __init__(self, digest: str, why: str) -> None:
        super().__init__(digest, why)
        self.digest, self.why = digest, why


class ContextsAway(OSError):
    """The storage does not give what it has; it may later."""


class Contexts(Protocol):
    """Brings uploaded contexts to a build."""

    async def unpack(self, organization_id: UUID, digest: str, folder: Path) -> str:
        """Unpack a context into an existing folder, nothing outside it; return the SHA-256 of its bytes (hex).

        Raises ContextMissing or ContextInvalid, or ContextsAway, which is worth another try.
        """
        ...


class NoContexts:
    """Nobody can upload anything."""

    async def unpack(self, organization_id: UUID, digest: str, folder: Path) -> str:
        raise ContextMissing(digest)
