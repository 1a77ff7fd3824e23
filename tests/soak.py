"""How long the long tests are: short and seeded in `make test`, in full in `make soak`."""

import os


def rounds(short: int, full: int) -> int:
    """Return `full` when RATOON_SOAK=1, else `short`."""
    return full if os.environ.get("RATOON_SOAK") == "1" else short
