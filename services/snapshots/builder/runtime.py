"""What buildah takes for an OCI runtime: runsc, each container in a network of its own, its end seen and told.

Its words: the build's folder, then those of a runtime. The process whose
id stands in the pid file is none of runsc's: it keeps the container's network, sees off what runsc leaves behind – or
`runsc delete` would wait in vain – and ends with the container's own exit code.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from services.snapshots.builder import network

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
    network.own_network(str(Path(folder, network.OUTSIDE)))
    network.hide_host_sysctls()
    _point_to_network(Path(rest[rest.index("--bundle") + 1], "config.json"))
    inner = Path(pid_file + ".sandbox")
    made = subprocess.run([*runsc, "create", "--pid-file", str(inner), *rest], check=False)
    if made.returncode != 0:
        return made.returncode
    for file in (_keeper_file(folder, rest[-1]), Path(pid_file)):
        file.write_text(str(os.getpid()))
    sandbox = int(inner.read_text())
    os.write(created, b"1")
    os.close(created)
    return _exit_code_of(sandbox)


def _exit_code_of(sandbox: int) -> int:
    """Wait for its end; it ends with the exit code of the container."""
    while True:
        pid, status = os.wait()
        if pid == sandbox:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _point_to_network(path: Path) -> None:
    spec = json.loads(path.read_text())
    others = [n for n in spec["linux"]["namespaces"] if n["type"] != "network"]
    mine = {"type": "network", "path": f"/proc/{os.getpid()}/ns/net"}
    spec["linux"]["namespaces"] = [*others, mine]
    path.write_text(json.dumps(spec))
