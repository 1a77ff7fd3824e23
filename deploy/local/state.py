"""The state folder: where an installation keeps its secrets, logs, data and the record of its last start."""

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.failures import AlreadyRunning, Failure

# The longest path a unix socket may have on Linux.
SOCKET_PATH_LIMIT = 107


@dataclass(frozen=True, slots=True)
class Home:
    """The places inside one state folder."""

    path: Path

    @property
    def secrets(self) -> Path:
        return self.path / "secrets"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def registry(self) -> Path:
        return self.path / "registry"

    @property
    def storage(self) -> Path:
        return self.path / "storage"

    @property
    def tls(self) -> Path:
        return self.secrets / "tls"

    @property
    def builds(self) -> Path:
        return self.path / "builds"

    def prepare(self) -> None:
        """Make the folders, for the owner's eyes only; refuse a folder that belongs to somebody else."""
        for folder in (self.path, self.secrets, self.logs, self.store):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid != os.geteuid():
                raise Failure(
                    f"{folder} belongs to another user: choose another folder with --home"
                )
            if stat.S_IMODE(folder.stat().st_mode) & 0o077:
                folder.chmod(0o700)

    def read(self, name: str) -> dict[str, Any]:
        """Return the JSON object kept under `name`; empty when there is none."""
        path = self.path / name
        try:
            value = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as broken:
            raise Failure(f"{path} is not JSON any more: restore it from a backup") from broken
        if not isinstance(value, dict):
            raise Failure(f"{path} holds no JSON object: restore it from a backup")
        return value

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep `value` as JSON under `name`, whole or not at all."""
        write_private(self.path / name, json.dumps(value, indent=2, sort_keys=True) + "\n")


def default_home(environ: Mapping[str, str]) -> Path:
    """Return `RATOON_HOME`, else `.ratoon` of the clone, else the place for state of the user."""
    if chosen := environ.get("RATOON_HOME"):
        return Path(chosen).absolute()
    clone = Path(__file__).resolve().parents[2]
    if (clone / "pyproject.toml").is_file():
        return clone / ".ratoon"
    base = environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state").absolute() / "ratoon"


def write_private(path: Path, text: str) -> None:
    """Write a 0600 file so that a reader sees the old or the new one, also after a power cut."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def take_lock(home: Home) -> int:
    """Hold the state folder until this process ends, however it ends; refuse when another one holds it."""
    handle = os.open(home.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as held:
        os.close(handle)
        raise AlreadyRunning(
            f"Ratoon runs already with the state folder {home.path}: see `ratoon status`"
        ) from held
    return handle


def runtime_folder(home: Home, key: str, *, owner: int | None = None) -> Path:
    """Return a private folder with a short path for sockets: the one of the last start, or a new one.

    Sockets need a short path, which the state folder may not have. A fresh random name cannot be occupied by
    another user beforehand, so the name is remembered in the state folder rather than derived from it.
    """
    uid = os.geteuid() if owner is None else owner
    record = home.read("runtime.json")
    known = record.get(key)
    if isinstance(known, str) and _is_private(Path(known), uid):
        return Path(known)
    base = "/run" if os.geteuid() == 0 and os.access("/run", os.W_OK) else "/tmp"  # noqa: S108 - mkdtemp makes the name
    made = Path(tempfile.mkdtemp(prefix="ratoon-", dir=base))
    if uid != os.geteuid():
        os.chown(made, uid, -1)
    home.write("runtime.json", {**record, key: str(made)})
    return made


def _is_private(folder: Path, uid: int) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == uid
        and not stat.S_IMODE(found.st_mode) & 0o077
    )


def socket_path(folder: Path, name: str) -> Path:
    path = folder / name
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise Failure(f"{path} is too long for a unix socket ({SOCKET_PATH_LIMIT} bytes)")
    return path
