"""What an organization has for the registry of an image, looked up in the database."""

from uuid import UUID

from chassis.db import Sessions
from chassis.sealing import KeyRing
from services.snapshots.commands.sealed import password_of
from services.snapshots.domain.credentials import Credential
from services.snapshots.images import reference
from services.snapshots.images.reference import InvalidReference
from services.snapshots.queries import registries


class OwnCredentials:
    """Credentials that organizations left here; see `queries.registries.best` for which of them."""

    def __init__(self, sessions: Sessions, ring: KeyRing) -> None:
        self._sessions, self._ring = sessions, ring

    async def of(self, organization_id: UUID, image_ref: str) -> Credential | None:
        """Return the credential for the registry that the reference names, with or without a host; None: anonymous."""
        try:
            image = reference.parse(image_ref)
        except InvalidReference:
            # Refused, with its reason, by who pulls it.
            return None
        async with self._sessions.begin() as session:
            found = await registries.best(session, organization_id, image.host, image.repository)
        if found is None:
            return None
        password = password_of(self._ring, found)
        if not found.username and not password:
            return None
        return Credential(image.host, found.username, password)
