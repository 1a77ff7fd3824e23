"""One build: its contexts and bases fetched, its steps done, its image put into the store."""

import asyncio
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from services.snapshots.builder import dockerfile
from services.snapshots.builder.buildah import Buildah
from services.snapshots.builder.failures import BuildFailed, Code, of_build, of_pull
from services.snapshots.builder.groups import Limits
from services.snapshots.builder.log import BuildLog
from services.snapshots.builder.output import Output
from services.snapshots.builder.possible import GVISOR
from services.snapshots.builder.tree import Tree, View
from services.snapshots.builder.workshop import Workshop, size_of
from services.snapshots.domain import (
    Claim,
    Failure,
    NewArtifact,
    Recipe,
    Setback,
)
from services.snapshots.domain.contexts import (
    ContextInvalid,
    ContextMissing,
    Contexts,
    ContextsAway,
)
from services.snapshots.images import documents, reference
from services.snapshots.images.failures import Code as PullCode
from services.snapshots.images.failures import PullFailed
from services.snapshots.images.progress import Phase, Progress, Report
from services.snapshots.images.reference import ImageReference, InvalidReference
from services.snapshots.queries.builds import recipe_of
from services.snapshots.worker.admission import Admission
from services.snapshots.worker.outages import steadily
from services.snapshots.worker.tools import Tools

_MEASURE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Trade:
    """What all builds share: where they are done, by what, within which limits."""

    workshop: Workshop
    contexts: Contexts
    isolation: str
    limits: Limits
    disk_limit: int
    log_limit: int
    insecure_hosts: frozenset[str]
    ca: Path | None
    # Of private networks and this machine's addresses, what steps may reach.
    reachable: tuple[IPv4Network, ...]
    # Folders that no program of a build sees.
    hidden: tuple[Path, ...]


class Building:
    """The image of one claim."""

    def __init__(self, tools: Tools, trade: Trade, claim: Claim) -> None:
        self._tools, self._trade, self._claim = tools, trade, claim
        self._admission = Admission(tools, claim)

    @property
    def size(self) -> int | None:
        return self._admission.size

    async def bring(self, report: Report) -> NewArtifact:
        """Return what is whole in the store then. Raises BuildFailed, PullFailed, or LeaseLost."""
        trade, claim = self._trade, self._claim
        recipe = await self._recipe()
        name = f"{claim.pull_id.hex}-{claim.attempt}"
        async with BuildLog(self._tools.sessions, claim, trade.log_limit) as log:
            if claim.attempt > 1:
                await log.say(f"\n[the build begins again: attempt {claim.attempt}]\n")
            try:
                async with trade.workshop.bench(claim.organization_id, name) as (layers, job):
                    return await self._build(recipe, layers, job, log, report)
            except Setback as failure:
                if failure.transient:
                    await log.say(f"\n[this attempt failed: {failure.reason}]\n")
                raise

    def late(self, seconds: float) -> Failure:
        return Failure(
            "DEADLINE_EXCEEDED",
            f"the build had not ended {seconds:.0f} seconds after it began",
            "Have the steps do less, or have the time that builds may take raised.",
        )

    async def _recipe(self) -> Recipe:
        async def read() -> Recipe:
            async with self._tools.sessions.begin() as session:
                assert self._claim.build_id is not None
                return await recipe_of(session, self._claim.build_id)

        return await steadily(read)

    async def _build(
        self, recipe: Recipe, layers: Path, job: Path, log: BuildLog, report: Report
    ) -> NewArtifact:
        trade, claim = self._trade, self._claim
        buildah = Buildah(layers, job, trade.isolation)
        environ = await asyncio.to_thread(
            buildah.prepare, recipe.dockerfile, insecure=trade.insecure_hosts, ca=trade.ca
        )
        tree = Tree(job.name, View((job, layers), trade.hidden), trade.limits, environ)
        try:
            if not buildah.is_clean():
                await tree.run(buildah.clean, _ignore)
            await self._unpack(recipe, buildah)
            base = await self._fetch_bases(recipe, buildah, tree, report)
            report(Progress(Phase.BUILDING))
            output = Output(self._tools, claim, self._admission, layers, buildah.packed)
            async with output.ahead(base):
                await self._do_steps(buildah, tree, (layers, job), log)
                report(Progress(Phase.STORING))
                config = await asyncio.to_thread(buildah.config_of, buildah.made)
                if config is None:
                    raise RuntimeError("the image that was built is not there")
                return await output.store(recipe.ref, config, report)
        finally:
            await asyncio.shield(tree.fell())

    async def _unpack(self, recipe: Recipe, buildah: Buildah) -> None:
        for digest in recipe.context_hashes:
            try:
                await self._trade.contexts.unpack(
                    self._claim.organization_id, digest, buildah.context
                )
            except ContextMissing as missing:
                reason = f"the context {missing.digest} was not uploaded, or is gone"
                raise BuildFailed(Code.CONTEXT_MISSING, reason) from missing
            except ContextInvalid as invalid:
                reason = f"the context {invalid.digest} cannot be used: {invalid.why}"
                raise BuildFailed(Code.CONTEXT_INVALID, reason) from invalid
            except ContextsAway as away:
                reason = "the storage of build contexts does not answer"
                code = Code.CONTEXT_STORAGE_UNAVAILABLE
                raise BuildFailed(code, reason, transient=True) from away

    async def _fetch_bases(
        self, recipe: Recipe, buildah: Buildah, tree: Tree, report: Report
    ) -> bytes | None:
        """Fetch what FROM names with the organization's credentials, and what COPY --from does with none.

        The credentials are gone before the first step. Return the config of the last one that FROM names, if any does.
        """
        report(Progress(Phase.RESOLVING))
        base = None
        self._refuse(recipe.dockerfile)
        try:
            for image in dockerfile.bases(recipe.dockerfile):
                credential = await self._tools.credentials.of(self._claim.organization_id, image)
                if credential is None:
                    buildah.forget()
                else:
                    buildah.permit(credential)
                base = buildah.config_of(await self._fetch(image, buildah, tree))
                self._check_triggers(image, base)
            buildah.forget()
            for image in dockerfile.copied(recipe.dockerfile):
                await self._fetch(image, buildah, tree)
            return base
        finally:
            buildah.remove_auth()

    async def _fetch(self, image: str, buildah: Buildah, tree: Tree) -> str:
        """Return the id of the image."""
        try:
            image = str(_tagged(reference.parse(image)))
        except InvalidReference as error:
            reason = f"the name of the image {image[:200]} cannot be read: {error}"
            raise PullFailed(PullCode.IMAGE_INVALID, reason) from error
        said = bytearray()

        async def keep(data: bytes) -> None:
            said.extend(data)
            del said[: -(16 << 10)]

        if await tree.run(buildah.pull(image), keep):
            raise of_pull(image, said.decode(errors="replace"))
        # What it warns of comes first.
        return said.decode(errors="replace").split()[-1]

    def _check_triggers(self, image: str, data: bytes | None) -> None:
        """Look at what the image of this config wants done by whoever builds on it (ONBUILD)."""
        if data is None:
            reason = f"the image {image[:200]} has no config of a kind that is still in use"
            raise PullFailed(PullCode.IMAGE_INVALID, reason)
        config = documents.part(documents.loads(data, "config"), "config", "config")
        self._refuse("\n".join(documents.texts(config, "OnBuild", "config")))

    def _refuse(self, text: str) -> None:
        """Refuse what buildah would do as root and outside of any isolation.

        It would read files of this machine, and what it stores for others, where an image is named by them; and it makes the
        mounts of a step: a link in an image leads it out.
        """
        if dockerfile.foreign(text):
            reason = "FROM and --from name images at registries, and stages; nothing else"
            raise BuildFailed(Code.DOCKERFILE_INVALID, reason)
        if self._trade.isolation == GVISOR and dockerfile.mounts(text):
            reason = (
                "RUN --mount is not to be had here: mounts are made outside of the step's isolation"
            )
            raise BuildFailed(Code.DOCKERFILE_INVALID, reason)

    async def _do_steps(
        self, buildah: Buildah, tree: Tree, places: tuple[Path, Path], log: BuildLog
    ) -> None:
        reachable = self._trade.reachable if self._trade.isolation == GVISOR else None
        steps = asyncio.ensure_future(tree.run(buildah.build, log.add, reachable=reachable))
        full = asyncio.ensure_future(self._until_full(*places))
        try:
            await asyncio.wait({steps, full}, return_when=asyncio.FIRST_COMPLETED)
            if not steps.done():
                limit = self._trade.disk_limit
                reason = f"the steps wrote more than the {limit} bytes that a build may write"
                raise BuildFailed(Code.BUILD_DISK_EXCEEDED, reason)
            code = steps.result()
        finally:
            for task in (steps, full):
                task.cancel()
            await asyncio.wait({steps, full})
        if code and tree.ran_out_of_memory():
            limit = self._trade.limits.memory
            reason = f"a step needed more than the {limit} bytes of memory that a build may use"
            raise BuildFailed(Code.BUILD_OUT_OF_MEMORY, reason)
        if code:
            raise of_build(log.tail)

    async def _until_full(self, layers: Path, job: Path) -> None:
        """Return when the build has written more than it may; look as seldom as looking is dear.

        To layers, to volumes, which are kept beside containers, and to what ADD downloads.
        """
        overlay, more = layers / "overlay", (layers / "overlay-containers", job / "tmp")
        before = frozenset(p.name for p in overlay.iterdir()) if overlay.exists() else frozenset()
        clock = asyncio.get_running_loop().time
        while True:
            begun = clock()
            written = await asyncio.to_thread(lambda: size_of(overlay, without=before | {"l"}))
            written += sum([await asyncio.to_thread(size_of, folder) for folder in more])
            if written > self._trade.disk_limit:
                return
            await asyncio.sleep(max(_MEASURE_SECONDS, 10 * (clock() - begun)))


def _tagged(image: ImageReference) -> ImageReference:
    if image.tag or image.digest:
        return image
    return ImageReference(image.host, image.repository, tag="latest")


async def _ignore(_: bytes) -> None:
    pass
