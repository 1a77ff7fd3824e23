"""The machine, its programs and settings."""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.local.account import database_account
from deploy.local.binaries import find_envoy, find_postgres
from deploy.local.doctor.finding import Finding
from deploy.local.failures import Failure
from deploy.local.ports import DEFAULT_PORT, is_free
from deploy.local.secret_files import refuse_placeholders
from deploy.local.state import Home

_ROOM_WANTED = 2 * 1024**3
# Nobody ran this before it was written: a clock that says so is wrong, and tokens depend on it.
_EARLIEST = 1_790_000_000


def python() -> Iterator[Finding]:
    seen = sys.version.split()[0]
    fine = sys.version_info >= (3, 11)
    yield Finding("python", seen, "" if fine else "install Python 3.11 or newer")


def programs(home: Home) -> Iterator[Finding]:
    account = database_account()
    chosen = home.read("postgres.json").get("binaries")
    found = find_postgres(account, Path(chosen) if chosen else None)
    yield Finding("postgresql", f"{found.version} in {found.folder}")
    yield Finding("envoy", str(find_envoy()))


def settings(environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        refuse_placeholders(environ)
    except Failure as failure:
        yield Finding("settings", str(failure), "set it to a secret value, or unset it")
    else:
        yield Finding("settings", "no placeholder secrets")


def room(home: Home) -> Iterator[Finding]:
    folder = next(path for path in (home.path, *home.path.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    seen = f"{free / 1024**3:.1f} GiB free at {folder}"
    remedy = "" if free >= _ROOM_WANTED else "make room, or move the state folder with --home"
    yield Finding("disk", seen, remedy)


def clock() -> Iterator[Finding]:
    now = time.time()
    seen = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    remedy = (
        "" if now > _EARLIEST else "set the clock (timedatectl set-ntp true): tokens depend on it"
    )
    yield Finding("clock", seen, remedy)


def port(status: dict[str, Any] | None, environ: Mapping[str, str]) -> Iterator[Finding]:
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
