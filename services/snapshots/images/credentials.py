"""What opens the registry of an image to an organization, looked up in the database."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from chassis.db import Sessions
from chassis.sealing import KeyRing
from services.snapshots.commands import grants
from services.snapshots.commands.sealed import password_of
from services.snapshots.domain.credentials import Credential
from services.snapshots.domain.grants import project_of
from services.snapshots.images import reference
from services.snapshots.images.reference import ImageReference, InvalidReference
from services.snapshots.queries import registries


@dataclass(frozen=True, slots=True)
class OwnRegistry:
    """The installation's own registry, and how long a pull from it may take."""

    host: str
    patience: timedelta


class OwnCredentials:
    """Credentials that organizations left here (see `queries.registries.best`), and those for what they pushed."""

    def __init__(self, sessions: Sessions, ring: KeyRing, own: OwnRegistry | None = None) -> None:
        self._sessions, self._ring, self._own = sessions, ring, own

    async def of(self, organization_id: UUID, image_ref: str) -> Credential | None:
        """Return the credential for the registry that the reference names, with or without a host; None: anonymous."""
        try:
            image = reference.parse(image_ref)
        except InvalidReference:
            # Refused, with its reason, by who pulls it.
            return None
        if self._own is not None and image.host == self._own.host:
            return await self._of_pushed(self._own, organization_id, image)
        async with self._sessions.begin() as session:
            found = await registries.best(session, organization_id, image.host, image.repository)
        if found is None:
            return None
        password = password_of(self._ring, found)
        if not found.username and not password:
            return None
        return Credential(image.host, found.username, password)

    async def _of_pushed(
        self, own: OwnRegistry, organization_id: UUID, image: ImageReference
    ) -> Credential | None:
        """Return what opens the organization's own project for one pull, and no other project."""
        if not image.repository.startswith(f"{project_of(organization_id)}/"):
            return None
        async with self._sessions.begin() as session:
            grant = await grants.make_for_pull(session, organization_id, own.patience)
        return Credential(image.host, str(grant.id), grant.secret)
