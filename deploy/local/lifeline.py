"""Tying a child's life to its parent's: the kernel ends it when the parent dies, however that dies."""

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Return what a child runs before its program: from then on, the parent's death sends it `number`."""
    parent = os.getpid()

    def tie() -> None:
        if _libc.prctl(_PR_SET_PDEATHSIG, int(number)) != 0 or os.getppid() != parent:
            # Untied, or the parent died just before: better no child than an orphan.
            os._exit(127)

    return tie
