"""What opens a registry to an organization."""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Credential:
    """Name and secret for one registry."""

    # `host[:port]`, as images name it; Docker Hub is `docker.io`.
    host: str
    username: str
    secret: str = field(repr=False)


class Credentials(Protocol):
    """Finds what an organization has for the registry of an image."""

    async def of(self, organization_id: UUID, image_ref: str) -> Credential | None:
        """Return the credential for the registry that the reference names, with or without a host; None: anonymous."""
        ...


class Anonymous:
    """Nobody has credentials."""

    async def of(self, organization_id: UUID, image_ref: str) -> Credential | None:
        return None
