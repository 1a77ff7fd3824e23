"""The start of the builder's container: control groups of its own, then `check FILE`, or the builder (`build`).

`check` writes down why no Dockerfiles can be built here, or nothing: the server of snapshots says it to whoever asks.
"""

import ctypes
import os
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
# Prints it.
_POSSIBLE = "services.snapshots.builder.possible"
_NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND = 2, 4, 8, 32, 4096


def main() -> None:
    # What it puts into the store is its group's too: there the workers read and remove it.
    os.umask(0)
    own_groups(GROUPS)
    match sys.argv[1:]:
        case ["check", file]:
            with Path(file).open("w") as out, redirect_stdout(out):
                runpy.run_module(_POSSIBLE, run_name="__main__")
        case ["build"]:
            runpy.run_path(str(Path(__file__).with_name("room.py")), run_name="__main__")
        case _:
            sys.exit("usage: builder.py check FILE | build")


def own_groups(root: Path) -> None:
    """Have the container's own control groups writable, and be in one below them: they are shared out by leaves alone.

    Where that cannot be done, the check says what follows from it.
    """
    if not (root / "cgroup.procs").exists():
        # The first version: one hierarchy for each controller, writable or not.
        return
    flags = _REMOUNT | _BIND | _NOSUID | _NODEV | _NOEXEC
    if not os.access(root, os.W_OK):
        ctypes.CDLL(None).mount(None, str(root).encode(), None, flags, None)
    try:
        (root / "self").mkdir(exist_ok=True)
        for process in (root / "cgroup.procs").read_text().split():
            (root / "self" / "cgroup.procs").write_text(process)
        # At once: a process that looks after the container's health would be in the way for a moment.
        (root / "cgroup.subtree_control").write_text("+memory +cpu +pids")
    except OSError as why:
        print(f"the container's control groups are not its own: {why}", file=sys.stderr)


if __name__ == "__main__":
    main()
