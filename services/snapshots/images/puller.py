"""Fetches an image from its registry: resolves it, asks whether it may come, brings it in, verifies it."""

from services.snapshots.images import reference
from services.snapshots.images.attempts import Retries
from services.snapshots.images.auth import Credentials, CredentialsFor
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.http import Http
from services.snapshots.images.layers import KnownLayers
from services.snapshots.images.progress import Phase, Progress, Report
from services.snapshots.images.reference import ImageReference, InvalidReference
from services.snapshots.images.registry import Repository
from services.snapshots.images.transfer import ImagePlan, Plan, PulledImage, Transfer
from services.snapshots.store.port import Intake

__all__ = ["ImagePlan", "PulledImage", "Puller"]
_CONCURRENCY = 4


def anonymous(_host: str) -> Credentials | None:
    return None


class Puller:
    """Any number of pulls may run at once; they share connections and nothing else."""

    def __init__(
        self,
        http: Http,
        store: Intake,
        *,
        retries: Retries | None = None,
        layers: KnownLayers | None = None,
        concurrency: int = _CONCURRENCY,
    ) -> None:
        self._http = http
        self._transfer = Transfer(store, retries=retries, layers=layers, concurrency=concurrency)

    async def pull(
        self,
        image: str,
        *,
        owner: str,
        plan: Plan,
        report: Report,
        credentials: CredentialsFor = anonymous,
    ) -> PulledImage:
        """Bring `image` in for `owner`; raises PullFailed. Cancelled, it leaves what can be resumed.

        A digest in `image` is the digest of what comes; only a tag is looked up.
        """
        report(Progress(Phase.RESOLVING))
        wanted = _parsed(image)
        repository = Repository(self._http, wanted, credentials(wanted.host))
        return await self._transfer.bring(repository, wanted, owner=owner, plan=plan, report=report)


def _parsed(image: str) -> ImageReference:
    try:
        return reference.parse(image)
    except InvalidReference as error:
        reason = f"the image's name cannot be read: {error}"
        remedy = "Write it as [host/]repository:tag or [host/]repository@sha256:…, in lower case."
        raise PullFailed(Code.IMAGE_INVALID, reason, remedy=remedy) from error
