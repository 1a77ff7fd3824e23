"""What buildah takes for an OCI runtime: runsc, each container in a network of its own, its end seen and told.

Its words: the build's folder, then those of a runtime. The process whose
id stands in the pid file is none of runsc's: it keeps the container's network, sees off what runsc leaves behind – or
`runsc delete` would wait in vain – and ends with the container's own exit code.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.snapshots.builder import network

# Of the container.
_TMP = "/tmp"  # noqa: S108
_VERBS = ("create", "start", "state", "kill", "delete")


def main() -> None:
    folder, *words = sys.argv[1:]
    at = next(i for i, word in enumerate(words) if word in _VERBS)
    verb, rest = words[at], words[at + 1 :]
    runsc = ["runsc", "--root", str(Path(folder, "runsc")), "--ignore-cgroups"]
    runsc += ["--platform=systrap", "--overlay2=none", "--network=sandbox"]
    if verb == "create":
        _create(folder, runsc, rest)
        return
    if verb == "start":
        _join(_keeper_file(folder, rest[-1]))
    if verb == "delete":
        rest = ["--force", *rest]
    os.execvp(runsc[0], [*runsc, verb, *rest])  # noqa: S606 - no shell is wanted


def _keeper_file(folder: str, container: str) -> Path:
    return Path(folder, f"keeper-{container}")


def _join(file: Path) -> None:
    """Enter the namespaces of the container's keeper: there runsc looks for the network."""
    keeper = file.read_text()
    network.enter(f"/proc/{keeper}/ns/net")
    network.enter(f"/proc/{keeper}/ns/mnt")


def _create(folder: str, runsc: list[str], rest: list[str]) -> None:
    at = rest.index("--pid-file")
    pid_file = rest[at + 1]
    del rest[at : at + 2]
    rest = [word for word in rest if word != "--no-new-keyring"]
    created_r, created_w = os.pipe()
    if os.fork():
        os.close(created_w)
        sys.exit(0 if os.read(created_r, 1) else 1)
    try:
        os.close(created_r)
        code = _keep(folder, runsc, rest, pid_file, created_w)
    except BaseException as failure:  # noqa: BLE001 - a child must not go on in its parent's place
        print(f"the container could not be made: {failure}", file=sys.stderr, flush=True)
        code = 125
    os._exit(code)


def _keep(folder: str, runsc: list[str], rest: list[str], pid_file: str, created: int) -> int:
    network.adopt()
    network.private_mounts()
    way_out = network.own_network()
    network.hide_host_sysctls()
    _complete(Path(rest[rest.index("--bundle") + 1], "config.json"))
    inner = Path(pid_file + ".sandbox")
    made = subprocess.run([*runsc, "create", "--pid-file", str(inner), *rest], check=False)
    if made.returncode != 0:
        return made.returncode
    for file in (_keeper_file(folder, rest[-1]), Path(pid_file)):
        file.write_text(str(os.getpid()))
    sandbox = int(inner.read_text())
    os.write(created, b"1")
    os.close(created)
    return _see_off(sandbox, way_out)


def _see_off(sandbox: int, way_out: int) -> int:
    """Wait until all of the container has ended; return its exit code, which is that of the sandbox."""
    code = 125
    with suppress(ChildProcessError):
        while True:
            pid, status = os.wait()
            if pid == sandbox:
                code = os.waitstatus_to_exitcode(status)
                os.kill(way_out, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _complete(path: Path) -> None:
    """Say in the bundle's configuration which network is the container's."""
    spec = json.loads(path.read_text())
    others = [n for n in spec["linux"]["namespaces"] if n["type"] != "network"]
    mine = {"type": "network", "path": f"/proc/{os.getpid()}/ns/net"}
    spec["linux"]["namespaces"] = [*others, mine]
    _keep_tmp(spec)
    path.write_text(json.dumps(spec))


def _keep_tmp(spec: dict[str, Any]) -> None:
    """Have what a step writes into an empty /tmp stay: runsc mounts a file system of its own there otherwise."""
    tmp = Path(spec["root"]["path"], _TMP.lstrip("/"))
    taken = any(mount["destination"] == _TMP for mount in spec["mounts"])
    # A link could lead out of the image.
    if tmp.is_dir() and not tmp.is_symlink() and not taken:
        bind = {"type": "bind", "source": str(tmp), "options": ["rbind", "rw"]}
        spec["mounts"].append({"destination": _TMP, **bind})
