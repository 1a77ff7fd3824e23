"""Whether an installation on this machine builds Dockerfiles, and if not, why."""

import subprocess
import sys
from collections.abc import Mapping

from deploy.local.environment import for_room

_SECONDS = 20.0
_ASK = (sys.executable, "-P", "-m", "services.snapshots.builder.possible")


def why_not(environ: Mapping[str, str]) -> str:
    """Return what is missing, as the builder says it; empty: nothing is."""
    environment = for_room("snapshots", environ)
    try:
        said = subprocess.run(
            _ASK, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        return f"it could not be found out: {failure}"
    if said.returncode != 0:
        return "there is no builder in this installation"
    return said.stdout.strip()
