"""Control groups: what all processes of one build may use together."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_NAME = "ratoon-builds"
_CONTROLLERS = ("memory", "cpu", "pids")
_PERIOD = 100_000
_PATIENCE_SECONDS, _PAUSE_SECONDS = 10.0, 0.01


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, processors, processes."""

    memory: int
    cpus: float
    processes: int


class Group:
    """The group of one build, in whichever of the two versions this machine has."""

    def __init__(self, name: str, root: Path = ROOT) -> None:
        self._root = root
        self._unified = (root / "cgroup.controllers").exists()
        parents = [root] if self._unified else [root / c for c in _CONTROLLERS]
        self._parents = [parent / _NAME for parent in parents]
        self._folders = [parent / name for parent in self._parents]

    def make(self, limits: Limits) -> list[Path]:
        """Make it and return the files into which a process writes 0 to join it. Raises OSError."""
        for folder in self._parents:
            folder.mkdir(exist_ok=True)
        if self._unified:
            for folder in (self._root, self._parents[0]):
                enabled = " ".join(f"+{c}" for c in _CONTROLLERS)
                (folder / "cgroup.subtree_control").write_text(enabled)
        for folder in self._folders:
            folder.mkdir(exist_ok=True)
        quota = int(limits.cpus * _PERIOD)
        if self._unified:
            [folder] = self._folders
            (folder / "memory.max").write_text(str(limits.memory))
            (folder / "cpu.max").write_text(f"{quota} {_PERIOD}")
            (folder / "pids.max").write_text(str(limits.processes))
        else:
            memory, cpu, pids = self._folders
            (memory / "memory.limit_in_bytes").write_text(str(limits.memory))
            (cpu / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (cpu / "cpu.cfs_quota_us").write_text(str(quota))
            (pids / "pids.max").write_text(str(limits.processes))
        return [folder / "cgroup.procs" for folder in self._folders]

    def ran_out_of_memory(self) -> bool:
        """Tell whether the kernel ended a process of it for want of memory."""
        file = self._folders[0] / ("memory.events" if self._unified else "memory.oom_control")
        try:
            words = dict(line.split() for line in file.read_text().splitlines())
        except (OSError, ValueError):
            return False
        return int(words.get("oom_kill", 0)) > 0

    def remove(self) -> None:
        """End what is left in it, and it. Blocks for moments: the kernel needs them to let processes go."""
        end = time.monotonic() + _PATIENCE_SECONDS
        for folder in self._folders:
            while folder.exists() and time.monotonic() < end:
                self._kill(folder)
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(_PAUSE_SECONDS)

    @staticmethod
    def _kill(folder: Path) -> None:
        for pid in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)
