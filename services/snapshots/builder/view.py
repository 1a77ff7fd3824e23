"""What the programs of a build see of this machine's files: of the folder of builds what is this build's, of the store nothing.

buildah reads what a Dockerfile names, as root and outside of any isolation; what it does not see it cannot be made to read.
The standard library alone.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from services.snapshots.builder import network


def narrow(own: Iterable[str], hidden: Iterable[str]) -> None:
    """Leave nothing in the parents of the folders `own` but those, and nothing in the folders `hidden`.

    In the mount namespace of the caller, from which nothing may propagate.
    """
    kept = [(Path(folder), os.open(folder, os.O_PATH | os.O_DIRECTORY)) for folder in own]
    covered = {folder.parent for folder, _ in kept} | {Path(folder) for folder in hidden}
    for folder in sorted(covered):
        folder.mkdir(parents=True, exist_ok=True)
        network.mount_empty(str(folder))
    for folder, handle in kept:
        folder.mkdir(0o700)
        network.bind(f"/proc/self/fd/{handle}", str(folder))
        os.close(handle)
