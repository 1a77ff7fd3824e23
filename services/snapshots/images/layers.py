"""Reads a layer's archive to its end before anybody unpacks it: what it may not hold is found here, once for all."""

import tarfile
from collections.abc import Iterator
from typing import Any, Protocol, cast

from services.snapshots.domain import LayerFacts
from services.snapshots.images.documents import invalid
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.unpacking import Unpacked, too_large

# Of one layer. Images that machines still unpack in reasonable time have far fewer.
MOST_ENTRIES = 900_000
# An image may unpack to so many times its size, or to so much if it is small.
_MOST_GROWTH, _ALWAYS = 64, 4 << 30
_LONGEST_NAME, _LONGEST_PART = 4096, 255
# In any encoding no longer than a part may be.
_SHORT = _LONGEST_PART // 4
# By themselves, or as what a whiteout would delete.
_OUTWARDS = {"..", ".wh.", ".wh..", ".wh..."}
# Old distributions ship those that every system has, by (major, minor); behind any other is somebody's hardware.
_DEVICES = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)}


class KnownLayers(Protocol):
    """What was found out before. A layer is known by its digest: it is read once, whoever brings it."""

    async def of(self, digests: list[str]) -> dict[str, LayerFacts]:
        """Return what is known of these layers."""

    async def note(self, digest: str, facts: LayerFacts) -> None:
        """Remember what was found out."""


class Forgetful:
    """Knows nothing: every layer is read again."""

    async def of(self, digests: list[str]) -> dict[str, LayerFacts]:
        return {}

    async def note(self, digest: str, facts: LayerFacts) -> None:
        return None


def most_unpacked(packed_bytes: int) -> int:
    """Return to how many bytes an image of this size may unpack."""
    return max(_ALWAYS, _MOST_GROWTH * packed_bytes)


def inspect(unpacked: Unpacked, *, most_entries: int = MOST_ENTRIES) -> LayerFacts:
    """Read a layer from end to end. Raises PullFailed when it is none that may be unpacked."""
    limit = unpacked.limit
    entries = content = 0
    for entry in _entries(unpacked):
        _check(entry)
        entries, content = entries + 1, content + entry.size
        if entries > most_entries:
            invalid(f"a layer has more than {most_entries} entries")
        # A sparse file is larger than what the archive holds of it.
        if content > limit:
            raise too_large(limit)
    if not unpacked.drain():
        # Tools differ in where they see the end: what one does not find another would unpack.
        invalid("a layer goes on behind the end of its archive")
    return LayerFacts(unpacked.digest, unpacked.size, entries)


def _entries(unpacked: Unpacked) -> Iterator[tarfile.TarInfo]:
    try:
        with tarfile.TarFile(fileobj=cast(Any, unpacked)) as archive:
            while (entry := archive.next()) is not None:
                # Kept by the library for a way back that nobody takes.
                del cast(Any, archive).members[:]
                yield entry
    # Whatever an archive can be wrong in: the library raises as it comes.
    except (tarfile.TarError, ValueError, OverflowError, EOFError, IndexError) as error:
        # Some tools write an archive without entries as nothing at all.
        if unpacked.size:
            raise PullFailed(
                Code.IMAGE_INVALID, f"a layer is not a whole archive: {error}"
            ) from error
    # The library takes a header that it cannot read for the end.
    if unpacked.last.strip(b"\0"):
        invalid("a layer's archive has a header that cannot be read")


def _check(entry: tarfile.TarInfo) -> None:
    name = entry.name
    if name or not entry.isdir():
        _check_path(name, "an entry")
    if entry.islnk():
        _check_path(entry.linkname, f"the hard link {_shown(name)}")
    elif entry.issym():
        if not entry.linkname or len(entry.linkname) > _LONGEST_NAME:
            invalid(f"the link {_shown(name)} leads nowhere")
    elif entry.ischr() or entry.isblk():
        device = (entry.devmajor, entry.devminor)
        if entry.isblk() or device not in _DEVICES:
            invalid(f"a layer holds a device, {_shown(name)}, which no sandbox may have")
    elif not (entry.isreg() or entry.isdir() or entry.isfifo()):
        invalid(f"a layer holds {_shown(name)}, of a kind that no file system knows")
    if entry.size < 0:
        invalid(f"{_shown(name)} has a size that cannot be")


def _check_path(path: str, what: str) -> None:
    parts = path.split("/")
    if not _OUTWARDS.isdisjoint(parts):
        invalid(f"{what} leads out of the image: {_shown(path)}")
    if not path or "\0" in path or _is_long(path, parts):
        invalid(f"{what} has a name that no file system takes: {_shown(path)}")


def _is_long(path: str, parts: list[str]) -> bool:
    if len(path) <= _SHORT:
        return False
    sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
    return sum(sizes) + len(sizes) > _LONGEST_NAME or max(sizes) > _LONGEST_PART


def _shown(path: str) -> str:
    return repr(path[:100])
