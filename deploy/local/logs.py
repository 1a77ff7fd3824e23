"""The log files of the processes: kept small by rotation, shown by their ends."""

import os
import shutil
from pathlib import Path

MAX_BYTES = 20 * 1024 * 1024
KEPT = 3


def rotate(path: Path, limit: int = MAX_BYTES) -> bool:
    """Move a log that has grown beyond `limit` aside.

    The processes write straight into their files, in append mode, which costs nothing at run time. So the file stays,
    its content is copied and then cut off; only a line written in the instant between the two can be lost.
    """
    if path.stat().st_size <= limit:
        return False
    for number in range(KEPT, 1, -1):
        older = path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number}"))
    handle = os.open(path.with_name(f"{path.name}.1"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with path.open("rb+") as source, os.fdopen(handle, "wb") as copy:
        shutil.copyfileobj(source, copy)
        source.truncate(0)
    return True


def tail(path: Path, lines: int = 15, reach: int = 16384) -> str:
    """Return the last lines of a log, indented; empty when there is none."""
    if not path.exists():
        return "  (empty)"
    with path.open("rb") as source:
        source.seek(max(0, path.stat().st_size - reach))
        text = source.read().decode(errors="replace").rstrip()
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (empty)"
