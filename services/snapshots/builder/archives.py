"""The archives of layers, from what buildah keeps of each: its files, and all of the archive that is not content of files.

Made again here, because buildah writes them out only all together, those that are stored long since included. What it
keeps besides the files is called tar-split: lines of JSON, in order, each a piece of the archive or the name of a file.
"""

import gzip
import json
import os
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PIECE = 1 << 20
_CONTENT, _VERBATIM = 1, 2


class ArchiveBroken(Exception):
    """What buildah keeps does not make the archive that it was."""


class Archives:
    """Of one organization's layers, which nothing changes meanwhile."""

    def __init__(self, layers: Path) -> None:
        self._layers = layers
        known = json.loads((layers / "overlay-layers" / "layers.json").read_bytes())
        self._known = {layer["diff-digest"]: layer for layer in known if "diff-digest" in layer}

    def size(self, diff_id: str) -> int:
        """Return the size of the archive of a layer, as buildah has it."""
        return int(self._layer(diff_id).get("diff-size", 0))

    def pieces(self, diff_id: str) -> Iterator[bytes]:
        """Yield the archive of a layer. Whether it is that one shows in its digest alone."""
        id_ = self._layer(diff_id)["id"]
        split = self._layers / "overlay-layers" / f"{id_}.tar-split.gz"
        root = os.open(self._layers / "overlay" / id_ / "diff", os.O_PATH | os.O_DIRECTORY)
        try:
            with gzip.open(split) as lines:
                yield from _gathered(_parts(map(json.loads, lines), root))
        finally:
            os.close(root)

    def _layer(self, diff_id: str) -> Any:
        if (layer := self._known.get(diff_id)) is None:
            raise ArchiveBroken(f"there is no layer {diff_id}")
        return layer


def _parts(entries: Iterator[Any], root: int) -> Iterator[bytes]:
    for entry in entries:
        if entry["type"] == _VERBATIM:
            yield b64decode(entry["payload"] or "")
        elif entry["type"] == _CONTENT and entry.get("size"):
            raw = entry.get("name_raw")
            name = b64decode(raw) if raw else entry["name"].encode()
            yield from _content(root, name, entry["size"])


def _gathered(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Put small parts together: each piece has its price behind here."""
    gathered = bytearray()
    for part in parts:
        gathered += part
        if len(gathered) >= _PIECE:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _content(root: int, name: bytes, size: int) -> Iterator[bytes]:
    with open(_opened(root, name), "rb", buffering=0) as file:
        while size:
            if not (piece := file.read(min(size, _PIECE))):
                raise ArchiveBroken(f"{name!r} is shorter than it was")
            size -= len(piece)
            yield piece


def _opened(root: int, name: bytes) -> int:
    """Open a file beneath `root`; a step may have left links in places of folders, and none is followed."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts or not parts:
        raise ArchiveBroken(f"{name!r} is not in the layer")
    *folders, last = parts
    at = os.dup(root)
    try:
        for folder in folders:
            below = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        return os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    except OSError as error:
        raise ArchiveBroken(f"{name!r} is not there: {error.strerror}") from error
    finally:
        os.close(at)
