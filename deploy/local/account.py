"""The operating-system account PostgreSQL runs as: it refuses to be root."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.failures import Failure


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the database server. `drop` is false when that is whom we are anyway."""

    uid: int
    gid: int
    drop: bool

    def popen_options(self) -> dict[str, Any]:
        """Return what `subprocess` needs to start a program as this account."""
        if not self.drop:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        if self.drop:
            os.chown(path, self.uid, self.gid)


def database_account() -> Account:
    """Return the present user or, for root, `postgres` where that account exists, else `nobody`."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), drop=False)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, drop=True)
    raise Failure("PostgreSQL cannot run as root, and there is no account `postgres` or `nobody`")


def run_as(
    account: Account,
    command: Sequence[str | Path],
    *,
    cwd: Path,
    environment: dict[str, str],
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a short program to its end and return what it said."""
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=120,
        check=False,
        **account.popen_options(),
    )
