"""The first process of a build's process namespace: when it ends, the kernel ends all the others.

Its words: what it is to set up (JSON, see `tree`), and the command.
"""

import json
import os
import sys
from pathlib import Path

from services.snapshots.builder import network, reach, view


def main() -> None:
    asked, *command = json.loads(sys.argv[1]), *sys.argv[2:]
    if asked["reachable"] is not None:
        _move_away(asked["reachable"])
    view.narrow(asked["own"], asked["hidden"])
    # The same folder, as it is seen from now on.
    os.chdir(asked["folder"])
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


def _move_away(listed: str) -> None:
    """Have all that follows reach outside through a network of its own. That of a step lies behind it, and cannot change it."""
    reachable = reach.networks(listed)
    own = reach.own_addresses(Path(reach.ADDRESSES).read_text())
    network.own_network()
    network.refuse(str(one) for one in reach.refused(own, reachable))
    network.permit(str(one) for one in reachable)
    # The way out must go on asking the machine's own nameservers.
    network.private_mounts()
    network.use_nameserver()
