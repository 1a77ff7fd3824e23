"""The layout's `index.json`: names for manifests, as other OCI tools read and write them."""

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAME = "org.opencontainers.image.ref.name"

Descriptors = list[dict[str, Any]]


class Names:
    """Entries of one `index.json`. Every change is atomic, also between processes."""

    def __init__(self, root: Path) -> None:
        self._file = root / "index.json"
        self._lock = root / "index.lock"
        with self._locked():
            if not self._file.exists():
                self._write([])

    def put(self, name: str, descriptor: dict[str, Any]) -> None:
        entry = descriptor | {"annotations": {NAME: name}}
        self._change(lambda entries: [*_without(entries, name), entry])

    def drop(self, name: str) -> None:
        self._change(lambda entries: _without(entries, name))

    def all(self) -> dict[str, str]:
        named = (
            (entry.get("annotations", {}).get(NAME), entry["digest"]) for entry in self._read()
        )
        return {name: digest for name, digest in named if name is not None}

    def _change(self, change: Callable[[Descriptors], Descriptors]) -> None:
        with self._locked():
            before = self._read()
            after = change(before)
            if after != before:
                self._write(after)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> Descriptors:
        manifests: Descriptors = json.loads(self._file.read_bytes())["manifests"]
        return manifests

    def _write(self, entries: Descriptors) -> None:
        body = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
        replace(self._file, body, temporary=self._file.parent, mode=0o640)


def _without(entries: Descriptors, name: str) -> Descriptors:
    return [entry for entry in entries if entry.get("annotations", {}).get(NAME) != name]


def replace(target: Path, data: bytes, *, temporary: Path, mode: int) -> None:
    """Give `target` this content, for good or not at all."""
    handle, path = tempfile.mkstemp(dir=temporary, prefix="put-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(path).rename(target)
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
