"""A download in progress: a locked file beside the blobs, and the hash of what it holds."""

import asyncio
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from services.snapshots.store.names import sync_folder
from services.snapshots.store.port import BlobTruncated, ContentMismatch

# Bytes handed to a thread at once: large enough that the hop costs nothing, small enough that
# many downloads together stay small. Two batches of a blob exist at most.
BATCH = 1 << 20

# The mode of a blob. A partial is never given it, so it also says who was finished.
SEALED = 0o440

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25


async def locked(path: Path, blob: Path) -> FileIO | None:
    """Open `path` for one writer only; None if its writer made it `blob` while we waited."""
    while True:
        file = _open(path)
        try:
            await _lock(file)
        except BaseException:
            file.close()
            raise
        if _is(file, path):
            return file
        finished = _finished(file, blob)
        file.close()
        if finished:
            return None


def lock_now(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _lock(file: FileIO) -> None:
    # A blocking flock would hold a thread that cancellation cannot reach.
    pause = _FIRST_PAUSE
    while not lock_now(file):
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _open(path: Path) -> FileIO:
    return FileIO(path, "r+", opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o660))


def _finished(file: FileIO, blob: Path) -> bool:
    # Not by comparing it with `blob`, which another owner may have replaced since.
    return stat.S_IMODE(os.fstat(file.fileno()).st_mode) == SEALED and blob.exists()


def _is(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


class Writer:
    """Appends to a locked file, hashing and writing in a thread while the next bytes arrive."""

    def __init__(self, file: FileIO, size: int) -> None:
        self.position = 0
        self._file, self._size = file, size
        self._sha = hashlib.sha256()
        self._batch: list[bytes] = []
        self._batched = 0
        self._work: asyncio.Future[None] | None = None
        self._abandoned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._abandoned = True
        # A thread may still be writing after a cancellation: closing now could let it write into
        # whatever file gets this descriptor next.
        if self._work is None or self._work.done():
            self._file.close()
        else:
            self._work.add_done_callback(self._close_late)

    async def resume(self) -> None:
        """Take over what an earlier writer left."""
        self._start(self._rehash)
        await self._settle()

    async def add(self, chunk: bytes) -> None:
        if self.position + len(chunk) > self._size:
            raise ContentMismatch(f"more than the {self._size} bytes it should have")
        self.position += len(chunk)
        self._batch.append(chunk)
        self._batched += len(chunk)
        if self._batched >= BATCH:
            await self._hand_over()

    async def complete(self, hex_digest: str) -> None:
        """Write the rest, check size and digest, and bring it to the disk."""
        await self._hand_over()
        await self._settle()
        if self.position < self._size:
            raise BlobTruncated(f"{self.position} of {self._size} bytes came")
        if self._sha.hexdigest() != hex_digest:
            raise ContentMismatch(f"its bytes have the digest sha256:{self._sha.hexdigest()}")
        self._start(lambda: os.fsync(self._file.fileno()))
        await self._settle()

    async def publish(self, partial: Path, blob: Path) -> None:
        """Make the file `partial`, complete, the blob. Cancelled, it is done first: whoever
        cancelled may look at the store and finds that nothing moves there any more.
        """
        self._start(lambda: self._publish(partial, blob))
        try:
            await self._settle()
        except asyncio.CancelledError:
            if self._work is not None:
                await asyncio.wait([self._work])
            raise

    async def keep(self) -> None:
        """Write what is in memory, so that a resume finds it."""
        await self._hand_over()
        await self._settle()

    async def _hand_over(self) -> None:
        await self._settle()
        if batch := self._batch:
            self._batch, self._batched = [], 0
            self._start(lambda: self._append(batch))

    def _start(self, work: Callable[[], None]) -> None:
        self._work = asyncio.get_running_loop().run_in_executor(None, work)

    async def _settle(self) -> None:
        if self._work is not None:
            await asyncio.shield(self._work)

    def _close_late(self, work: asyncio.Future[None]) -> None:
        work.exception()  # read, so that nobody reports it: the writer gave up already
        self._file.close()

    def _append(self, batch: list[bytes]) -> None:
        for chunk in batch:
            self._sha.update(chunk)
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]

    def _rehash(self) -> None:
        if os.fstat(self._file.fileno()).st_size > self._size:
            self._file.truncate(0)
        buffer = bytearray(BATCH)
        view = memoryview(buffer)
        while not self._abandoned and (count := self._file.readinto(buffer)):
            self._sha.update(view[:count])
            self.position += count

    def _publish(self, partial: Path, blob: Path) -> None:
        partial.rename(blob)
        # Not before: a partial must stay writable for who resumes it after a crash.
        os.fchmod(self._file.fileno(), SEALED)
        sync_folder(blob.parent)
