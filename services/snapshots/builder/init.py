"""The first process of a build's process namespace: when it ends, the kernel ends all the others.

Its words: own or host, the build's folder, the command.
"""

import os
import sys
from pathlib import Path

from services.snapshots.builder import network


def main() -> None:
    kind, folder, *command = sys.argv[1:]
    if kind == "own":
        outside = Path(folder, network.OUTSIDE)
        outside.touch()
        network.bind("/proc/self/ns/net", str(outside))
        network.own_network()
    child = os.fork()
    if not child:
        try:
            os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
        finally:
            os._exit(127)
    while True:
        # Whoever is orphaned here is ours to see off.
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
