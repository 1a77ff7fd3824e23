"""`ratoon doctor`: looks at everything an installation stands on and says what to do about what is wrong."""

import json
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deploy.local import control
from deploy.local.account import database_account, run_as
from deploy.local.binaries import SHARED, find_envoy, find_postgres
from deploy.local.builds import why_not
from deploy.local.failures import Failure, NotRunning
from deploy.local.plan import own_server
from deploy.local.ports import DEFAULT_PORT, is_free
from deploy.local.postgres import Cluster
from deploy.local.secret_files import CONTEXTS, database_secrets, refuse_placeholders
from deploy.local.state import Home

_ROOM_WANTED = 2 * 1024**3
# Nobody ran this before it was written: a clock that says so is wrong, and tokens depend on it.
_EARLIEST = 1_790_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what it is, what was seen and, when that is wrong, what to do."""

    about: str
    seen: str
    remedy: str = ""

    @property
    def fine(self) -> bool:
        return not self.remedy


def examine(home: Home, environ: Mapping[str, str]) -> list[Finding]:
    """Look at everything; nothing is changed."""
    status = _status(home)
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        lambda: _programs(home),
        lambda: _settings(environ),
        lambda: _modes(home),
        lambda: _room(home),
        _clock,
        lambda: _port(status, environ),
        lambda: _processes(status),
        lambda: _databases(home, environ, status),
        lambda: _store(home, environ),
        lambda: _builder(environ),
        lambda: _orphans(home),
    ]
    return [finding for check in checks for finding in _guarded(check)]


def compare(home: Home, *, every_byte: bool) -> list[Finding]:
    """Hold rows, blobs and usage of the snapshots against one another; nothing is changed."""
    try:
        answer = control.ask(home, {"do": "audit", "everyByte": every_byte}, patience=3600)
    except NotRunning:
        return [Finding("snapshots", "not compared, for Ratoon does not run", "`ratoon up` first")]
    if "error" in answer:
        return [Finding("snapshots", answer["error"], "read `ratoon logs snapshots`")]
    remedy = "tell who develops Ratoon, with this line and `ratoon logs snapshots-worker`"
    found = [
        Finding(f"snapshots: {one['question']}", f"{one['about']}: {one['wrong']}", remedy)
        for one in answer["discrepancies"]
    ]
    return found or [Finding("snapshots", "rows, blobs and usage agree")]


def render(findings: list[Finding]) -> str:
    lines = []
    for finding in findings:
        lines.append(f"{'ok  ' if finding.fine else 'BAD '} {finding.about}: {finding.seen}")
        if not finding.fine:
            lines.append(f"     -> {finding.remedy}")
    bad = sum(not finding.fine for finding in findings)
    return "\n".join([*lines, "", f"{bad} finding(s)" if bad else "all is well"])


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Failure as failure:
        yield Finding(
            "check", str(failure), "do as the message says, then run `ratoon doctor` again"
        )
    except OSError as failure:
        yield Finding("check", str(failure), "make the file readable for the user that runs Ratoon")


def _status(home: Home) -> dict[str, Any] | None:
    try:
        return control.ask(home, {"do": "status"})
    except NotRunning:
        return None


def _python() -> Iterator[Finding]:
    seen = sys.version.split()[0]
    fine = sys.version_info >= (3, 11)
    yield Finding("python", seen, "" if fine else "install Python 3.11 or newer")


def _programs(home: Home) -> Iterator[Finding]:
    account = database_account()
    chosen = home.read("postgres.json").get("binaries")
    found = find_postgres(account, Path(chosen) if chosen else None)
    yield Finding("postgresql", f"{found.version} in {found.folder}")
    yield Finding("envoy", str(find_envoy()))


def _settings(environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        refuse_placeholders(environ)
    except Failure as failure:
        yield Finding("settings", str(failure), "set it to a secret value, or unset it")
    else:
        yield Finding("settings", "no placeholder secrets")


def _modes(home: Home) -> Iterator[Finding]:
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


def _room(home: Home) -> Iterator[Finding]:
    folder = next(path for path in (home.path, *home.path.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    seen = f"{free / 1024**3:.1f} GiB free at {folder}"
    remedy = "" if free >= _ROOM_WANTED else "make room, or move the state folder with --home"
    yield Finding("disk", seen, remedy)


def _clock() -> Iterator[Finding]:
    now = time.time()
    seen = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    remedy = (
        "" if now > _EARLIEST else "set the clock (timedatectl set-ntp true): tokens depend on it"
    )
    yield Finding("clock", seen, remedy)


def _port(status: dict[str, Any] | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    if status is not None:
        yield Finding("port", f"{status['port']} is ours: {status['url']}")
        return
    text = environ.get("RATOON_PORT", str(DEFAULT_PORT))
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        yield Finding("port", f"RATOON_PORT is {text!r}", "set it to a number from 1 to 65535")
        return
    remedy = (
        "" if is_free(int(text)) else "end the program that has it, or choose another by --port"
    )
    yield Finding("port", f"{text} is {'taken' if remedy else 'free'}", remedy)


def _processes(status: dict[str, Any] | None) -> Iterator[Finding]:
    if status is None:
        yield Finding("processes", "Ratoon does not run; `ratoon up` starts it")
        return
    for process in status["processes"]:
        name, state = process["name"], process["state"]
        remedy = "" if state == "ready" else f"read `ratoon logs {name}`"
        restarts = f", {process['restarts']} restarts" if process["restarts"] else ""
        yield Finding(f"process {name}", f"{state}{restarts}", remedy)


def _databases(
    home: Home, environ: Mapping[str, str], status: dict[str, Any] | None
) -> Iterator[Finding]:
    record = home.read("postgres.json")
    ours = [context for context in CONTEXTS if not own_server(context, environ)]
    for context in set(CONTEXTS) - set(ours):
        yield Finding(f"database {context}", "on a server of the operator's; not examined")
    if status is None or not record:
        if ours:
            yield Finding("databases", "not examined, for Ratoon does not run")
        return
    account = database_account()
    chosen = Path(record["binaries"]) if record["binaries"] else None
    sockets = Path(home.read("runtime.json")["database"])
    cluster = Cluster(find_postgres(account, chosen), account, Path(record["data"]), sockets)
    password = database_secrets(home)["postgres"].password
    for context in ours:
        yield _revision(cluster, context, password)


def _revision(cluster: Cluster, context: str, password: str) -> Finding:
    about = f"database {context}"
    said = run_as(
        database_account(),
        (*cluster.psql(context), "--tuples-only", "--no-align"),
        cwd=Path("/"),
        environment={"PGPASSWORD": password, "LC_ALL": "C"},
        text="SELECT version_num FROM alembic_version;",
    )
    if said.returncode != 0:
        return Finding(
            about,
            said.stderr.strip().split("\n")[0],
            "read `ratoon logs postgres`; then `ratoon down`, `ratoon up`",
        )
    found, known = said.stdout.strip(), _known_revisions(context)
    if found not in known:
        return Finding(
            about,
            f"at revision {found}, unknown to this release",
            "run the newer release that wrote it",
        )
    if found in known.values():
        return Finding(
            about,
            f"at revision {found}, an old one",
            "`ratoon down`, then `ratoon up`: it migrates",
        )
    return Finding(about, f"reachable, at revision {found}")


def _known_revisions(context: str) -> dict[str, str | None]:
    """Return each revision of the code with the one before it, as read from the files: no service is imported."""
    spec = find_spec("services")
    folders = list(spec.submodule_search_locations or []) if spec else []
    found: dict[str, str | None] = {}
    for folder in folders:
        for path in (Path(folder) / context / "migrations" / "versions").glob("*.py"):
            text = path.read_text()
            names = dict(re.findall(r'^(revision|down_revision)\b[^=\n]*= *"([^"]+)"', text, re.M))
            if "revision" in names:
                found[names["revision"]] = names.get("down_revision")
    return found


def _store(home: Home, environ: Mapping[str, str]) -> Iterator[Finding]:
    store = Path(environ.get("SNAPSHOTS_STORE_PATH") or home.store)
    if not store.exists():
        yield Finding("store", f"{store} does not exist yet")
        return
    writable = os.access(store, os.W_OK | os.X_OK)
    remedy = "" if writable else f"give the user that runs Ratoon the right to write to {store}"
    yield Finding("store", f"{store} is {'' if writable else 'not '}writable", remedy)


def _builder(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Installations without one are whole: what is missing is said, and is no fault."""
    why = why_not(environ)
    yield Finding("builds", f"no Dockerfiles are built: {why}" if why else "Dockerfiles are built")


def _orphans(home: Home) -> Iterator[Finding]:
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
