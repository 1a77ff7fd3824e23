"""Whether Dockerfiles can be built here. `python -m services.snapshots.builder.possible` says what is missing, or nothing.

The standard library alone: whoever starts an installation asks this first.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

GVISOR, CHROOT, OFF = "gvisor", "chroot", "off"
ISOLATIONS = (GVISOR, CHROOT)
# Older ones know no systrap.
_EARLIEST_RUNSC = 20230501
_DATE = re.compile(r"(20\d{6})")
_CONTROLLERS = {"memory", "cpu", "pids"}
_PROGRAMS = ("buildah", "unshare", "setpriv")


def missing(isolation: str, *, trusted: bool) -> str:
    """Return what is missing, for people; empty: nothing is. `trusted`: the operator says that Dockerfiles are."""
    if isolation == OFF:
        return "builds are switched off"
    if isolation not in ISOLATIONS:
        words = " or ".join((*ISOLATIONS, OFF))
        return f"SNAPSHOTS_BUILD_ISOLATION is {isolation!r}; it can be {words}"
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the builder must run as root"
    programs = (*_PROGRAMS, *(("runsc", "slirp4netns") if isolation == GVISOR else ()))
    if absent := [program for program in programs if shutil.which(program) is None]:
        return f"these programs are not installed: {', '.join(absent)}"
    if isolation == CHROOT and not trusted:
        return (
            "with chroot isolation a step of a Dockerfile is root on this machine; "
            "SNAPSHOTS_TRUSTED_DOCKERFILES=true says that all who may create snapshots are trusted with that"
        )
    if isolation == GVISOR and (old := _old_runsc()):
        return old
    return _no_groups()


def _old_runsc() -> str:
    said = subprocess.run(["runsc", "--version"], capture_output=True, text=True, check=False)  # noqa: S607
    date = _DATE.search(said.stdout)
    if date is None or int(date[1]) < _EARLIEST_RUNSC:
        return f"runsc is too old: {' '.join(said.stdout.split()) or said.stderr.strip()}"
    return ""


def _no_groups(root: Path = Path("/sys/fs/cgroup")) -> str:
    controllers = root / "cgroup.controllers"
    if controllers.exists():
        if absent := sorted(_CONTROLLERS - set(controllers.read_text().split())):
            return (
                f"builds cannot be limited, these control groups are not ours: {', '.join(absent)}"
            )
        parents = [root]
    else:
        parents = [root / "memory", root / "cpu"]
    for parent in parents:
        trial = parent / f"ratoon-trial-{os.getpid()}"
        try:
            trial.mkdir()
        except OSError as why:
            return f"no control groups can be made, so builds cannot be limited: {why}"
        with contextlib.suppress(OSError):
            trial.rmdir()
    return ""


def missing_by(environ: Mapping[str, str]) -> str:
    """Return what is missing under the operator's settings."""
    isolation = environ.get("SNAPSHOTS_BUILD_ISOLATION") or GVISOR
    trusted = environ.get("SNAPSHOTS_TRUSTED_DOCKERFILES", "").lower() in ("1", "true", "yes", "on")
    return missing(isolation, trusted=trusted)


if __name__ == "__main__":
    print(missing_by(os.environ))
