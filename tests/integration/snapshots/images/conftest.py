"""Registries, and a puller whose patience is short enough for tests."""

from collections.abc import AsyncIterator, Callable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.snapshots.images.attempts import Retries
from services.snapshots.images.auth import CredentialsFor
from services.snapshots.images.failures import PullFailed
from services.snapshots.images.http import Http, Timeouts
from services.snapshots.images.progress import Progress
from services.snapshots.images.puller import ImagePlan, PulledImage, Puller, anonymous
from services.snapshots.store.layout import OciLayoutStore
from tests.images import debian_archive
from tests.integration.snapshots.images.scripted import ScriptedRegistry, scripted_registry
from tests.registry import Registry, running_registry

QUICK = Retries(attempts=3, first_pause=0.001, longest_pause=0.5)
IMPATIENT = Timeouts(connect=5, silence=0.4, document=2, pace_window=0.2, slowest_pace=4096)


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    with running_registry() as running:
        yield running


@pytest.fixture(scope="session")
def locked_registry() -> Iterator[Registry]:
    with running_registry(password=True) as running:
        yield running


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small real file system."""
    return debian_archive(tmp_path_factory.mktemp("debian"), "busybox-static")


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedRegistry]:
    async with scripted_registry() as running:
        yield running


@dataclass
class Bench:
    """Pulls into a store of its own and remembers what was planned and reported."""

    root: Path
    held: Set[str] = frozenset()
    plans: list[ImagePlan] = field(default_factory=list)
    reports: list[Progress] = field(default_factory=list)
    on_report: Callable[[Progress], None] = lambda _progress: None
    refusal: PullFailed | None = None
    retries: Retries = QUICK
    timeouts: Timeouts = IMPATIENT

    def __post_init__(self) -> None:
        self.store = OciLayoutStore(self.root)

    async def pull(
        self, image: str, *, credentials: CredentialsFor = anonymous, owner: str = "org"
    ) -> PulledImage:
        insecure = frozenset({image.partition("/")[0]})
        async with Http(insecure_hosts=insecure, timeouts=self.timeouts) as http:
            return await self.pull_by(http, image, credentials=credentials, owner=owner)

    async def pull_by(
        self,
        http: Http,
        image: str,
        *,
        credentials: CredentialsFor = anonymous,
        owner: str = "org",
    ) -> PulledImage:
        puller = Puller(http, self.store, retries=self.retries)
        return await puller.pull(
            image, owner=owner, plan=self._plan, report=self._report, credentials=credentials
        )

    async def failure(self, image: str, *, credentials: CredentialsFor = anonymous) -> PullFailed:
        with pytest.raises(PullFailed) as caught:
            await self.pull(image, credentials=credentials)
        assert caught.value.reason
        assert caught.value.remedy.endswith(".")
        return caught.value

    def blobs(self) -> set[str]:
        return {f"sha256:{path.name}" for path in (self.root / "blobs" / "sha256").iterdir()}

    def partials(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in (self.root / "partial").iterdir()}

    async def _plan(self, plan: ImagePlan) -> Set[str]:
        self.plans.append(plan)
        if self.refusal:
            raise self.refusal
        return self.held

    def _report(self, progress: Progress) -> None:
        self.reports.append(progress)
        self.on_report(progress)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "store")
