"""One attempt at one piece of work, a pull or a build, from its claim to its end."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from services.snapshots.commands import pulls
from services.snapshots.commands.moves import wake_workers
from services.snapshots.domain import Claim, Failure, NewArtifact, Setback
from services.snapshots.images.progress import Report
from services.snapshots.worker.lease import Lease, LeaseLost
from services.snapshots.worker.measures import Measures
from services.snapshots.worker.outages import brief, is_outage, steadily
from services.snapshots.worker.tools import Tools

log = logging.getLogger(__name__)
_GIVE_BACK_SECONDS = 2.0


class DeadlinePassed(Exception):
    """The pull took longer than any may."""


class Making(Protocol):
    """How the image of a claim is made."""

    @property
    def size(self) -> int | None:
        """Its size, as soon as that is known."""

    async def bring(self, report: Report) -> NewArtifact:
        """Return what is whole in the store then. Raises Setback, or LeaseLost."""

    def late(self, seconds: float) -> Failure:
        """Say that it took too long."""


class Job:
    """Ends in exactly one of: the artifact recorded, the failure recorded, put back for later, or nothing at all."""

    def __init__(self, tools: Tools, claim: Claim, making: Making, measures: Measures) -> None:
        self._tools, self._claim = tools, claim
        self._lease = Lease(tools.sessions, claim, tools.policy.lease)
        self._making, self._measures = making, measures

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
            log.exception("work is abandoned", extra={"pullId": self._claim.pull_id})
            code = _INTERNAL.code
        self._measures.ended.labels(code).inc()
        self._measures.seconds.observe(time.monotonic() - begun)
        log.info(
            "work ended: %s",
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
            return await self._fail(self._making.late(self._tools.policy.deadline))
        except Setback as failure:
            return await self._failed(failure)
        except Exception:
            # One pull that meets a fault of ours must not take all the others along, again and again.
            log.exception("work met an unexpected error", extra={"pullId": self._claim.pull_id})
            if await self._retry(None):
                return "RETRIED"
            return await self._fail(_INTERNAL)

    async def _while_held(self) -> NewArtifact:
        """Do the work, but no longer than the claim is ours and the deadline is ahead."""
        work = asyncio.ensure_future(self._making.bring(self._lease.report))
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

    async def _finish(self, made: NewArtifact) -> str:
        async def finish() -> bool:
            async with self._tools.sessions.begin() as session:
                return await pulls.finish_pull(session, self._claim, made)

        return "OK" if await steadily(finish) else "CANCELLED"

    async def _failed(self, failure: Setback) -> str:
        if failure.transient and await self._retry(failure.retry_after):
            log.info("work will be tried again: %s", failure, extra={"pullId": self._claim.pull_id})
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
                size = self._making.size
                return await pulls.fail_pull(session, self._claim, failure, size_bytes=size)

        return failure.code if await steadily(fail) else "CANCELLED"


_INTERNAL = Failure(
    "INTERNAL_ERROR",
    "something went wrong here, not with the image; the log of the worker says what",
    "Try again; if it fails again, ask who runs this installation.",
)
