"""Programs of one build: in namespaces and a control group of their own, so that they end together, whatever happens."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from services.snapshots.builder.groups import Group, Limits

log = logging.getLogger(__name__)
Sink = Callable[[bytes], Awaitable[None]]
_SOURCES = Path(__file__).parents[3]
_READ_BYTES = 64 << 10
# Joins the groups, then becomes the command: the kernel ends it with us, and all that it began with it. The mask is not
# ours, whatever that is: what steps make would show it.
_JOIN = 'umask 022; for group in $1; do echo 0 > "$group" || exit 125; done; shift; exec "$@"'
_APART: tuple[str, ...] = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "--",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
)
_APART += ("--kill-child=KILL", "--mount-proc", "--")


def python(module: str, *words: str) -> list[str]:
    """Return a command that runs `main` of a module of this folder, quickly: neither site packages nor an environment."""
    code = (
        f"import sys; sys.path.insert(0, {str(_SOURCES)!r}); "
        f"from services.snapshots.builder.{module} import main; main()"
    )
    return [sys.executable, "-IS", "-c", code, *words]


@dataclass(frozen=True, slots=True)
class View:
    """What programs of a build see: its own folder, the first of `own`, and the others, of those beside them none; nothing hidden."""

    own: Sequence[Path]
    hidden: Sequence[Path]


class Tree:
    """Runs one program after the other for a build."""

    def __init__(self, name: str, view: View, limits: Limits, environ: Mapping[str, str]) -> None:
        self._group, self._view = Group(name), view
        self._limits, self._environ = limits, environ

    async def run(
        self, command: Sequence[str], sink: Sink, *, reachable: Sequence[IPv4Network] | None = None
    ) -> int:
        """Return its exit code; what it says goes to `sink`. Cancelled, all that it began is ended first.

        `reachable`: run it in a network of its own, from which of what is private only these are reached.
        """
        groups = await asyncio.to_thread(self._group.make, self._limits)
        folder = self._view.own[0]
        asked = {
            "folder": str(folder),
            "own": [str(path) for path in self._view.own],
            "hidden": [str(path) for path in self._view.hidden],
            "reachable": None if reachable is None else ",".join(map(str, reachable)),
        }
        joining = ["sh", "-c", _JOIN, "sh", " ".join(map(str, groups)), *_APART]
        process = await asyncio.create_subprocess_exec(
            *joining,
            *python("init", json.dumps(asked), *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(self._environ),
            cwd=folder,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            while data := await process.stdout.read(_READ_BYTES):
                await sink(data)
            return await process.wait()
        finally:
            await asyncio.shield(self._end(process))

    def ran_out_of_memory(self) -> bool:
        return self._group.ran_out_of_memory()

    async def fell(self) -> None:
        """See to it that nothing of it is left."""
        await asyncio.to_thread(self._group.remove)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()


def environment(folder: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return what programs of a build are told: nothing of ours, and nothing of the machine's but where programs are."""
    path = os.environ.get("PATH", "")
    return {
        "PATH": f"{path}:/usr/sbin:/sbin" if path else "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "LC_ALL": "C.UTF-8",
        **extra,
    }
