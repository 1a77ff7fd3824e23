"""How fast this machine is at this moment: a fixed piece of arithmetic, timed beside every run.

Virtual processors share their cores with strangers: the same request costs half as much or twice as much a minute
later. The yardstick tells how much of a figure is the machine's.
"""

import time
from statistics import median

_ITERATIONS = 1_000_000
# CPU seconds of it on the quiet machine (2 cores) on which the targets were set. Found by pairs: a FastAPI route that
# answers a constant cost 83 µs of CPU there; wherever both were timed, it cost 1.85 µs for each ms of the yardstick.
REFERENCE_SECONDS = 0.045


def slowness() -> float:
    """Return how many times the reference's CPU time this machine needs now."""
    return median(_once() for _ in range(3)) / REFERENCE_SECONDS


def _once() -> float:
    started = time.process_time()
    x = 0
    for i in range(_ITERATIONS):
        x = (x * 31 + i) & 0xFFFFFFF
    return time.process_time() - started
