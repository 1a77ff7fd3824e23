"""What lies in the installation's own registry, where its files are at hand: measured, and removed when it is old.

The registry keeps contents once for all (`blobs`), and for each repository links to what it has. It never removes
anything by itself, and its own collection of garbage would take what somebody is about to push.
"""

import logging
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

log = logging.getLogger(__name__)
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Pushed:
    """The folder of the registry (`rootdirectory` of its configuration)."""

    root: Path

    def size_of(self, project: str) -> int:
        """Return the bytes of what a project links to, each content counted once."""
        return sum(map(self._size, self._linked(self._repositories / project)))

    def projects(self, before: float) -> list[UUID]:
        """Return the organizations whose project nobody has pushed to since `before` (Unix time)."""
        if not self._repositories.is_dir():
            return []
        found = [(_uuid(entry.name), Path(entry)) for entry in os.scandir(self._repositories)]
        return [id_ for id_, folder in found if id_ and _newest(folder) < before]

    def remove(self, project: str) -> None:
        """Remove all that a project has; its contents go with `sweep`, unless others have them too."""
        with_ = self._trash(self._repositories / project)
        if with_ is not None:
            shutil.rmtree(with_, ignore_errors=True)

    def sweep(self, before: float) -> int:
        """Remove contents that came before `before` and that no project has; return how many bytes."""
        linked = set(self._linked(self._repositories))
        return sum(
            self._drop(digest, data)
            for digest, data in self._contents()
            if digest not in linked and data.stat().st_mtime < before
        )

    def _drop(self, digest: str, data: Path) -> int:
        """Take contents away; they are put back if somebody has come to need them meanwhile."""
        size, trash = data.stat().st_size, self._trash(data.parent)
        if trash is None:
            return 0
        if any(self._repositories.rglob(f"{digest}/link")):
            trash.rename(data.parent)
            return 0
        shutil.rmtree(trash, ignore_errors=True)
        return size

    def _trash(self, folder: Path) -> Path | None:
        """Move a folder where the registry does not look for anything; None: it is not there."""
        trash = self.root / "ratoon-trash"
        trash.mkdir(mode=0o700, exist_ok=True)
        try:
            return folder.rename(trash / uuid4().hex)
        except FileNotFoundError:
            return None

    def _linked(self, folder: Path) -> Iterator[str]:
        seen = set()
        for link in folder.rglob("link"):
            digest = link.parent.name
            if _HEX.fullmatch(digest) and digest not in seen:
                seen.add(digest)
                yield digest

    def _contents(self) -> Iterator[tuple[str, Path]]:
        for data in self._blobs.glob("*/*/data"):
            if _HEX.fullmatch(data.parent.name):
                yield data.parent.name, data

    def _size(self, digest: str) -> int:
        try:
            return (self._blobs / digest[:2] / digest / "data").stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def _repositories(self) -> Path:
        return self.root / "docker" / "registry" / "v2" / "repositories"

    @property
    def _blobs(self) -> Path:
        return self.root / "docker" / "registry" / "v2" / "blobs" / "sha256"


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def _newest(folder: Path) -> float:
    """Return when something in it was last made or changed; what goes meanwhile is as new as can be."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:
        return float("inf")
