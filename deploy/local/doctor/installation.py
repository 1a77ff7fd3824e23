"""What the installation has: its folders, processes and store."""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.local.binaries import SHARED
from deploy.local.builds import why_not
from deploy.local.doctor.finding import Finding
from deploy.local.state import Home


def modes(home: Home) -> Iterator[Finding]:
    if not home.path.is_dir():
        yield Finding("state folder", f"{home.path} does not exist yet; `ratoon up` makes it")
        return
    loose = [path for path in (home.path, home.secrets, *_files(home.secrets)) if _is_open(path)]
    for path in loose:
        mode = stat.S_IMODE(path.stat().st_mode)
        yield Finding("state folder", f"{path} has mode {mode:o}", f"chmod go= {path}")
    if not loose:
        yield Finding("state folder", f"{home.path} is closed to other users")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_open(path: Path) -> bool:
    return path.exists() and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def processes(status: dict[str, Any] | None) -> Iterator[Finding]:
    if status is None:
        yield Finding("processes", "Ratoon does not run; `ratoon up` starts it")
        return
    for process in status["processes"]:
        name, state = process["name"], process["state"]
        remedy = "" if state == "ready" else f"read `ratoon logs {name}`"
        restarts = f", {process['restarts']} restarts" if process["restarts"] else ""
        yield Finding(f"process {name}", f"{state}{restarts}", remedy)


def store(home: Home, environ: Mapping[str, str]) -> Iterator[Finding]:
    store = Path(environ.get("SNAPSHOTS_STORE_PATH") or home.store)
    if not store.exists():
        yield Finding("store", f"{store} does not exist yet")
        return
    writable = os.access(store, os.W_OK | os.X_OK)
    remedy = "" if writable else f"give the user that runs Ratoon the right to write to {store}"
    yield Finding("store", f"{store} is {'' if writable else 'not '}writable", remedy)


def builder(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Installations without one are whole: what is missing is said, and is no fault."""
    why = why_not(environ)
    yield Finding("builds", f"no Dockerfiles are built: {why}" if why else "Dockerfiles are built")


def orphans(home: Home) -> Iterator[Finding]:
    """Data folders that root's installations left when their state folders were removed or made anew."""
    if os.geteuid() != 0:
        return
    used = home.read("postgres.json").get("data")
    for owner in sorted(SHARED.glob("data-*/OWNER")):
        folder, state = owner.parent, Path(json.loads(owner.read_text())["home"])
        if state == home.path and used != str(folder / "postgres"):
            seen = f"{folder} was made for {state}, which does not use it"
            yield Finding("left-over data", seen, f"if you do not need it: rm -r {folder}")
        elif not state.exists():
            yield Finding("left-over data", f"{folder} was made for {state}, which is gone")
