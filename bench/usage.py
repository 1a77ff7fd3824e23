"""CPU and memory of a tree of processes, read from /proc."""

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """Return `root` and all that descends from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """Return user + system time of the tree, with that of the children that ended."""
    ticks = 0
    for pid in tree(root):
        if fields := _stat(pid):
            ticks += sum(int(f) for f in fields[11:15])
    return ticks / _TICK


def by_command(root: int) -> dict[str, float]:
    """Return CPU seconds by what the processes are: a module's name, or `postgres`."""
    found: dict[str, float] = {}
    for pid in tree(root):
        if fields := _stat(pid):
            name = command(pid)
            found[name] = found.get(name, 0.0) + sum(int(f) for f in fields[11:15]) / _TICK
    return found


def command(pid: int) -> str:
    """Return what a process is, in a word or two."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "gone"
    if words[0].startswith(b"postgres") or words[0].endswith(b"/postgres"):
        return "postgres"
    if b"-m" in words:
        rest = words[words.index(b"-m") + 1 :]
        return b" ".join(w for w in rest[:2] if w and not w.startswith(b"-")).decode()
    return Path(words[0].decode()).name


def parent(pid: int) -> int:
    """Return the process that started it, 0 for one that is gone."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def environment(pid: int) -> dict[str, str]:
    """Return what a process of the same user was told."""
    told = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in told if "=" in entry)


def pss_megabytes(pid: int) -> float:
    """Return the proportional set size: shared pages counted in parts."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no PSS for {pid}")


def _stat(pid: int) -> list[str]:
    """Return the fields after the command's name, state first; empty for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()
