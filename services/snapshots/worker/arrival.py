"""An image on its way in from a registry: asked for, admitted or refused, put into the store."""

from dataclasses import asdict, replace

from services.snapshots.domain import Claim, Failure, NewArtifact
from services.snapshots.domain.credentials import Credential
from services.snapshots.images import reference
from services.snapshots.images.auth import Credentials, CredentialsFor
from services.snapshots.images.http import Http
from services.snapshots.images.progress import Report
from services.snapshots.images.puller import PulledImage, Puller
from services.snapshots.images.reference import InvalidReference
from services.snapshots.worker.admission import Admission
from services.snapshots.worker.intake import RecordedIntake
from services.snapshots.worker.layers import RecordedLayers
from services.snapshots.worker.outages import steadily
from services.snapshots.worker.tools import Tools


class Arrival:
    """The image of one claim."""

    def __init__(self, tools: Tools, http: Http, claim: Claim) -> None:
        self._tools, self._http, self._claim = tools, http, claim
        self._admission = Admission(tools, claim)

    @property
    def size(self) -> int | None:
        return self._admission.size

    async def bring(self, report: Report) -> NewArtifact:
        """Return what is whole in the store then. Raises PullFailed, or LeaseLost."""
        tools, claim = self._tools, self._claim
        puller = Puller(
            self._http,
            RecordedIntake(tools.store, tools.sessions, claim),
            layers=RecordedLayers(tools.sessions),
        )
        wanted, owner = _wanted(claim), str(claim.organization_id)
        pulled = await puller.pull(
            wanted,
            owner=owner,
            plan=self._admission.admit,
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

    def late(self, seconds: float) -> Failure:
        return Failure(
            "DEADLINE_EXCEEDED",
            f"the image was not here {seconds:.0f} seconds after the work on it began",
            "Try again; if that does not help, check how fast the registry is or use a smaller image.",
        )

    def _artifact(self, wanted: str, pulled: PulledImage) -> NewArtifact:
        asked = reference.parse(wanted)
        return NewArtifact(
            repository=asked.name,
            manifest_digest=pulled.manifest_digest,
            size_bytes=pulled.size_bytes,
            entrypoint=list(pulled.config.entrypoint) or None,
            config=asdict(pulled.config),
            blobs=self._admission.blobs,
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
