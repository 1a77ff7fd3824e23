"""How an organization gets its build contexts into the storage."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.errors import Kind, Refusal


class ObjectStorageMissing(Refusal):
    kind, reason = Kind.UNAVAILABLE, "OBJECT_STORAGE_NOT_CONFIGURED"


class ObjectStorageAway(Refusal):
    kind, reason = Kind.UNAVAILABLE, "OBJECT_STORAGE_UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class UploadAccess:
    """Credentials for the prefix of one organization, and where they are good."""

    access_key: str
    secret: str = field(repr=False)
    session_token: str = field(repr=False)
    storage_url: str
    bucket: str
    region: str
    expires: datetime


class Uploads(Protocol):
    """Opens the storage to an organization."""

    async def issue(self, organization_id: UUID) -> UploadAccess:
        """Return fresh credentials. Refused with OBJECT_STORAGE_NOT_CONFIGURED or OBJECT_STORAGE_UNAVAILABLE."""
        ...


class NoUploads:
    """Nobody can upload anything."""

    async def issue(self, organization_id: UUID) -> UploadAccess:
        raise ObjectStorageMissing("this installation has no storage for build contexts")
