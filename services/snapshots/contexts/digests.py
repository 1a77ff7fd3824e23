"""What the public clients call a context: the formulas of its digest, told by the archive alone.

The command line takes the SHA-256 of the archive, or of the one file in it. The Python client takes the MD5 of the path
it packed and of all contents, in the order in which its file system listed them. That order is not in the archive:
small trees are tried in every order, large ones cannot be judged by that digest.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, permutations
from typing import Any, BinaryIO

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MD5 = re.compile(r"[0-9a-f]{32}")
_MOST_ORDERS = 720
_MOST_HASHED = 256 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """Where the bytes of a file are in the archive."""

    offset: int
    size: int


@dataclass(slots=True)
class Folder:
    """What lies in a folder of the archive."""

    files: dict[str, Part] = field(default_factory=dict)
    folders: dict[str, "Folder"] = field(default_factory=dict)

    def orders(self) -> int:
        """Return in how many orders a file system may list it, its folders included."""
        here = math.factorial(min(len(self.files), 20)) * math.factorial(min(len(self.folders), 20))
        return here * math.prod(folder.orders() for folder in self.folders.values())

    def size(self) -> int:
        return sum(p.size for p in self.files.values()) + sum(
            folder.size() for folder in self.folders.values()
        )


@dataclass(slots=True)
class Contents:
    """What was found in an archive."""

    # The name of its first entry: the path that was packed.
    base: str = ""
    root: Part | Folder | None = None
    # Links show what they point at, not what was packed; more than one tree is nothing that the Python client makes.
    plain: bool = True


def is_digest(text: str) -> bool:
    return bool(_SHA256.fullmatch(text) or _MD5.fullmatch(text))


def contradicts(digest: str, sha256: str, archive: BinaryIO, contents: Contents) -> bool:
    """Return whether the archive, whose SHA-256 is given, cannot be what was called `digest`."""
    try:
        return _contradicts(digest, sha256, archive, contents)
    except RecursionError:
        # Folders in folders in folders: nobody can be told to have lied.
        return False


def _contradicts(digest: str, sha256: str, archive: BinaryIO, contents: Contents) -> bool:
    if _SHA256.fullmatch(digest):
        return digest not in _sha256s(sha256, archive, contents)
    if not contents.plain or contents.root is None:
        return False
    if isinstance(contents.root, Folder):
        orders = contents.root.orders()
        if orders > _MOST_ORDERS or orders * contents.root.size() > _MOST_HASHED:
            return False
    return digest not in _md5s(archive, contents.base, contents.root)


def _sha256s(of_archive: str, archive: BinaryIO, contents: Contents) -> Iterator[str]:
    yield of_archive
    if isinstance(contents.root, Part):
        yield _fed(hashlib.sha256(), archive, contents.root).hexdigest()


def _md5s(archive: BinaryIO, base: str, root: Part | Folder) -> Iterator[str]:
    for separator in ("/", "\\"):
        start = hashlib.md5(_bytes(base.replace("/", separator)), usedforsecurity=False)
        if isinstance(root, Part):
            yield _fed(start, archive, root).hexdigest()
        else:
            for ended in _walks(start, archive, root, "", separator):
                yield ended.hexdigest()


def _walks(
    start: Any, archive: BinaryIO, folder: Folder, path: str, separator: str
) -> Iterator[Any]:
    """Yield the hash after a walk of the folder, for each order it may be walked in."""
    if not folder.files and not folder.folders:
        ended = start.copy()
        ended.update(_bytes(path or "."))
        yield ended
        return
    for names in permutations(sorted(folder.files)):
        seen = start.copy()
        for name in names:
            seen.update(_bytes(_joined(path, name, separator)))
            _fed(seen, archive, folder.files[name])
        for order in permutations(sorted(folder.folders)):
            yield from _through(seen, archive, folder, order, path, separator)


def _through(
    start: Any,
    archive: BinaryIO,
    folder: Folder,
    order: tuple[str, ...],
    path: str,
    separator: str,
) -> Iterator[Any]:
    if not order:
        yield start
        return
    inner = _joined(path, order[0], separator)
    for ended in _walks(start, archive, folder.folders[order[0]], inner, separator):
        yield from _through(ended, archive, folder, tuple(islice(order, 1, None)), path, separator)


def _joined(path: str, name: str, separator: str) -> str:
    return f"{path}{separator}{name}" if path else name


def _bytes(name: str) -> bytes:
    # As archives are read: bytes that are no UTF-8 stay what they are.
    return name.encode(errors="surrogateescape")


def _fed(hasher: Any, archive: BinaryIO, part: Part) -> Any:
    archive.seek(part.offset)
    left = part.size
    while left:
        chunk = archive.read(min(left, _CHUNK))
        if not chunk:
            break
        hasher.update(chunk)
        left -= len(chunk)
    return hasher
