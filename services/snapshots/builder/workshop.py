"""Folders of builds: layers, kept for each organization, and what one build needs for itself."""

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import UUID

from services.snapshots.domain import Setback

_UNUSED_SECONDS = 14 * 86_400
_BUSY_SECONDS = 5.0


class Workshop:
    """One folder, shared by any number of builders of one machine."""

    def __init__(self, root: Path, *, cache_limit: int) -> None:
        self._layers, self._jobs = root / "layers", root / "jobs"
        self._cache_limit = cache_limit
        for folder in (root, self._layers, self._jobs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @asynccontextmanager
    async def bench(self, organization_id: UUID, name: str) -> AsyncIterator[tuple[Path, Path]]:
        """Give the layers of an organization, to nobody else meanwhile, and an empty folder that is gone afterwards."""
        layers, job = self._layers / organization_id.hex, self._jobs / name
        layers.mkdir(mode=0o700, exist_ok=True)
        with _locked(layers) as locked:
            if not locked:
                raise _busy()
            await asyncio.to_thread(shutil.rmtree, job, ignore_errors=True)
            job.mkdir(mode=0o700)
            try:
                with _locked(job):
                    yield layers, job
            finally:
                os.utime(layers)
                await asyncio.to_thread(shutil.rmtree, job, ignore_errors=True)

    async def clear(self, left: Callable[[str], None]) -> None:
        """Clear away builds that nobody works on any more, each after `left` was told its name."""
        await asyncio.to_thread(self._clear, left)

    def _clear(self, left: Callable[[str], None]) -> None:
        for job in list(self._jobs.iterdir()):
            with _locked(job) as locked:
                if locked:
                    left(job.name)
                    shutil.rmtree(job, ignore_errors=True)

    async def shrink(self) -> None:
        """Drop layers that were not used for long, and those used longest ago while all are more than they may be."""
        await asyncio.to_thread(self._shrink)

    def _shrink(self) -> None:
        folders = sorted(self._layers.iterdir(), key=lambda folder: folder.stat().st_mtime)
        sizes = {folder: size_of(folder) for folder in folders}
        total = sum(sizes.values())
        for folder in folders:
            old = time.time() - folder.stat().st_mtime > _UNUSED_SECONDS
            if not old and total <= self._cache_limit:
                continue
            with _locked(folder) as locked:
                if locked:
                    shutil.rmtree(folder, ignore_errors=True)
                    total -= sizes[folder]


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold a folder, if nobody else does."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _busy() -> Setback:
    return Setback(
        "INTERNAL_ERROR",
        "an earlier build of the organization has not ended yet on this machine",
        "Try again; if it fails again, ask who runs this installation.",
        transient=True,
        retry_after=_BUSY_SECONDS,
    )


def size_of(folder: Path | str, *, without: frozenset[str] = frozenset()) -> int:
    """Return the bytes that a folder takes on the disk; folders named in `without`, directly in it, left out."""
    total = 0
    try:
        entries = list(os.scandir(folder))
    except OSError:
        # It went away meanwhile.
        return 0
    for entry in entries:
        if entry.name in without:
            continue
        try:
            total += entry.stat(follow_symlinks=False).st_blocks * 512
            if entry.is_dir(follow_symlinks=False):
                total += size_of(entry.path)
        except OSError:
            continue
    return total
