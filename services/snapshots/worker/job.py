"""One attempt at one pull, from its claim to its end."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Set
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.db import Sessions
from services.snapshots.commands import blobs, pulls
from services.snapshots.commands.moves import wake_workers
from services.snapshots.domain import Blob, Claim, Failure, NewArtifact, StoreFull
from services.snapshots.images import reference
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.http import Http
from services.snapshots.images.puller import ImagePlan, PulledImage, Puller
from services.snapshots.images.reference import InvalidReference
from services.snapshots.queries.blobs import reserved_bytes
from services.snapshots.store.port import Store
from services.snapshots.worker.garbage import Garbage
from services.snapshots.worker.intake import RecordedIntake
from services.snapshots.worker.lease import Lease, LeaseLost
from services.snapshots.worker.measures import PULL_SECONDS, PULLS
from services.snapshots.worker.outages import brief, is_outage, steadily
from services.snapshots.worker.policy import Policy
from services.snapshots.worker.room import Room

log = logging.getLogger(__name__)
_GIVE_BACK_SECONDS = 2.0
_GIB = 1 << 30

# The largest image, in GiB, that an organization may have; waits until that is known.
LargestImage = Callable[[UUID], Awaitable[int]]


class DeadlinePassed(Exception):
    """The pull took longer than any may."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all jobs of a worker share."""

    sessions: Sessions
    http: Http
    store: Store
    room: Room
    garbage: Garbage
    largest_image: LargestImage
    policy: Policy


class Job:
    """Ends in exactly one of: the artifact recorded, the failure recorded, put back for later, or nothing at all."""

    def __init__(self, tools: Tools, claim: Claim) -> None:
        self._tools, self._claim = tools, claim
        self._lease = Lease(tools.sessions, claim, tools.policy.lease)
        self._size: int | None = None

    def check(self) -> None:
        self._lease.check()

    async def run(self) -> None:
        """Never raises, unless it is cancelled: then the claim is given back first."""
        begun = time.monotonic()
        try:
            code = await self._outcome()
        except asyncio.CancelledError:
            await self.give_back()
            raise
        except Exception:
            # Not even the failure could be recorded: it is claimed again when the lease ends, until the deadline does.
            log.exception("a pull is abandoned", extra={"pullId": self._claim.pull_id})
            code = _INTERNAL.code
        PULLS.labels(code).inc()
        PULL_SECONDS.observe(time.monotonic() - begun)
        log.info(
            "pull ended: %s",
            code,
            extra={"pullId": self._claim.pull_id, "attempt": self._claim.attempt},
        )

    async def give_back(self) -> None:
        """Let another worker go on at once; should that fail, when the lease ends."""
        try:
            async with (
                asyncio.timeout(_GIVE_BACK_SECONDS),
                self._tools.sessions.begin() as session,
            ):
                if await pulls.retry_later(session, self._claim, timedelta()):
                    await wake_workers(session)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("a claim could not be given back: %s", brief(error))

    async def _outcome(self) -> str:
        try:
            return await self._finish(await self._while_held())
        except LeaseLost:
            return "CANCELLED"
        except DeadlinePassed:
            return await self._fail(_late(self._tools.policy.deadline))
        except PullFailed as failure:
            return await self._failed(failure)
        except Exception:
            # One pull that meets a fault of ours must not take all the others along, again and again.
            log.exception("a pull met an unexpected error", extra={"pullId": self._claim.pull_id})
            if await self._retry(None):
                return "RETRIED"
            return await self._fail(_INTERNAL)

    async def _while_held(self) -> NewArtifact:
        """Do the work, but no longer than the claim is ours and the deadline is ahead."""
        work = asyncio.ensure_future(self._bring_in())
        keeper = asyncio.ensure_future(self._lease.keep())
        left = (self._claim.deadline_at - datetime.now(UTC)).total_seconds()
        try:
            await asyncio.wait(
                {work, keeper}, timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED
            )
            if work.done():
                return work.result()
            if keeper.done():
                keeper.result()
                raise LeaseLost
            raise DeadlinePassed
        finally:
            work.cancel()
            keeper.cancel()
            await asyncio.wait({work, keeper})

    async def _bring_in(self) -> NewArtifact:
        tools, claim = self._tools, self._claim
        planned: list[ImagePlan] = []

        async def plan(image: ImagePlan) -> Set[str]:
            planned.append(image)
            return await self._plan(image)

        puller = Puller(tools.http, RecordedIntake(tools.store, tools.sessions, claim))
        pulled = await puller.pull(
            _wanted(claim), owner=str(claim.organization_id), plan=plan, report=self._lease.report
        )
        return _artifact(claim, planned[-1], pulled)

    async def _plan(self, image: ImagePlan) -> Set[str]:
        """Decide whether the image may come; return the blobs that need not."""
        self._size = image.total_bytes
        limit = await self._tools.largest_image(self._claim.organization_id)
        if image.total_bytes > limit * _GIB:
            raise PullFailed(Code.IMAGE_TOO_LARGE, _too_large(image.total_bytes, limit))
        needed = _blobs(image)
        try:
            missing = await self._pin(needed)
        except StoreFull:
            await self._tools.garbage.collect()
            try:
                missing = await self._pin(needed)
            except StoreFull as full:
                raise PullFailed(Code.STORE_FULL, await self._full(image)) from full
        return {blob.digest for blob in needed} - set(missing)

    async def _pin(self, needed: tuple[Blob, ...]) -> list[str]:
        capacity = await self._tools.room.capacity()

        async def pin() -> list[str] | None:
            async with self._tools.sessions.begin() as session:
                return await blobs.pin(session, self._claim, needed, capacity=capacity)

        missing = await steadily(pin)
        if missing is None:
            raise LeaseLost
        return missing

    async def _full(self, image: ImagePlan) -> str:
        async with self._tools.sessions.begin() as session:
            taken = await reserved_bytes(session)
        return (
            f"the store may hold {await self._tools.room.capacity()} bytes and {taken} are taken; "
            f"the image has {image.total_bytes}"
        )

    async def _finish(self, made: NewArtifact) -> str:
        async def finish() -> bool:
            async with self._tools.sessions.begin() as session:
                return await pulls.finish_pull(session, self._claim, made)

        return "OK" if await steadily(finish) else "CANCELLED"

    async def _failed(self, failure: PullFailed) -> str:
        if failure.transient and await self._retry(failure.retry_after):
            log.info("pull will be tried again: %s", failure, extra={"pullId": self._claim.pull_id})
            return "RETRIED"
        tries = self._claim.attempt
        reason = failure.reason + (f" (tried {tries} times)" if tries > 1 else "")
        return await self._fail(Failure(failure.code, reason, failure.remedy))

    async def _retry(self, asked: float | None) -> bool:
        policy, attempt = self._tools.policy, self._claim.attempt
        if attempt >= policy.attempts:
            return False

        async def later() -> bool:
            async with self._tools.sessions.begin() as session:
                return await pulls.retry_later(session, self._claim, policy.delay(attempt, asked))

        return await steadily(later)

    async def _fail(self, failure: Failure) -> str:
        async def fail() -> bool:
            async with self._tools.sessions.begin() as session:
                return await pulls.fail_pull(session, self._claim, failure, size_bytes=self._size)

        return failure.code if await steadily(fail) else "CANCELLED"


_INTERNAL = Failure(
    "INTERNAL_ERROR",
    "something went wrong here, not with the image; the log of the worker says what",
    "Try again; if it fails again, ask who runs this installation.",
)


def _late(seconds: float) -> Failure:
    return Failure(
        "DEADLINE_EXCEEDED",
        f"the image was not here {seconds:.0f} seconds after the work on it began",
        "Try again; if that does not help, check how fast the registry is or use a smaller image.",
    )


def _too_large(size: int, limit: int) -> str:
    return (
        f"the image has {size} bytes ({size / _GIB:.2f} GiB), compressed; "
        f"the organization's limit is {limit} GiB"
    )


def _wanted(claim: Claim) -> str:
    """Return the image to ask for; a reference that nobody can read is refused by who reads it."""
    if not claim.digest:
        return claim.image_ref
    try:
        return str(replace(reference.parse(claim.image_ref), digest=claim.digest))
    except InvalidReference:
        return claim.image_ref


def _blobs(image: ImagePlan) -> tuple[Blob, ...]:
    manifest = Blob(image.manifest.digest, len(image.manifest.data))
    parts = (Blob(part.digest, part.size) for part in (image.config, *image.layers))
    return (manifest, *parts)


def _artifact(claim: Claim, plan: ImagePlan, pulled: PulledImage) -> NewArtifact:
    asked = reference.parse(_wanted(claim)).digest
    return NewArtifact(
        repository=plan.name,
        manifest_digest=pulled.manifest_digest,
        size_bytes=pulled.size_bytes,
        entrypoint=list(pulled.config.entrypoint) or None,
        config=asdict(pulled.config),
        blobs=_blobs(plan),
        digests=(asked,) if asked else (),
    )
