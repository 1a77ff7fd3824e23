"""Brings the blobs of one image into the store, several at a time."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Protocol

from services.snapshots.images.attempts import Attempts, Retries
from services.snapshots.images.checks import Checks
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.manifests import Descriptor
from services.snapshots.images.progress import Meter
from services.snapshots.store.port import BlobTruncated, ContentMismatch, Intake, StoreFull

# So much between two failures counts as getting on.
_PROGRESS = 1 << 20


class Blobs(Protocol):
    """Where the blobs come from."""

    def blob(self, descriptor: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        """A blob's bytes from `offset` on."""


class Downloads:
    """The downloads of one pull."""

    def __init__(
        self,
        repository: Blobs,
        store: Intake,
        meter: Meter,
        checks: Checks,
        *,
        owner: str,
        retries: Retries,
    ) -> None:
        self._repository, self._store, self._meter = repository, store, meter
        self._checks = checks
        self._owner, self._retries = owner, retries

    async def fetch(self, blobs: Iterable[Descriptor], *, concurrency: int) -> None:
        """Fetch all or fail with the first failure; what came by then can be resumed."""
        places = asyncio.Semaphore(concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                # The largest first: started last, it would keep everybody waiting alone.
                for blob in sorted(blobs, key=lambda blob: -blob.size):
                    group.create_task(self._one(blob, places))
        except BaseExceptionGroup as failures:
            raise _first(failures) from None

    async def _one(self, blob: Descriptor, places: asyncio.Semaphore) -> None:
        attempts = Attempts(self._retries)
        async with places:
            while True:
                try:
                    await self._write(blob)
                except PullFailed as failure:
                    if failure.code is not Code.DIGEST_MISMATCH:
                        raise
                    await attempts.after(failure)
                else:
                    self._meter.at(blob.digest, blob.size)
                    break
        # While others still come.
        await self._checks.check(blob.digest)

    async def _write(self, blob: Descriptor) -> None:
        try:
            await self._store.write_blob(
                blob.digest,
                blob.size,
                lambda offset: self._resuming(blob, offset),
                owner=self._owner,
            )
        except ContentMismatch as error:
            reason = f"{blob.digest} is not what it should be: {error}"
            raise PullFailed(Code.DIGEST_MISMATCH, reason) from error
        except BlobTruncated as error:
            reason = f"{blob.digest} ended early: {error}"
            raise PullFailed(Code.REGISTRY_UNREACHABLE, reason) from error
        except StoreFull as error:
            raise PullFailed(Code.STORE_FULL, str(error)) from error

    async def _resuming(self, blob: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        """A blob's bytes, over as many connections as it takes while it gets on."""
        attempts, position, failed_at = Attempts(self._retries), offset, offset
        self._meter.at(blob.digest, position)
        while True:
            try:
                async with aclosing(self._repository.blob(blob, position)) as chunks:
                    async for chunk in chunks:
                        position += len(chunk)
                        self._meter.at(blob.digest, position)
                        yield chunk
            except PullFailed as failure:
                if failure.code is Code.DIGEST_MISMATCH:
                    raise _for_store(failure) from failure
                if position - failed_at >= _PROGRESS:
                    attempts.progressed()
                failed_at = position
                await attempts.after(failure)
            else:
                return


def _for_store(failure: PullFailed) -> ContentMismatch:
    """So that the store deletes what came."""
    return ContentMismatch(failure.reason)


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
