"""How far a pull is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    RESOLVING = "resolving"
    DOWNLOADING = "downloading"
    BUILDING = "building"
    STORING = "storing"
    VERIFYING = "verifying"


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes that are here, of bytes in all; 0 in all: not known yet."""

    phase: Phase
    bytes_done: int = 0
    bytes_total: int = 0


# Called often, from the event loop: it must be cheap and must not raise.
Report = Callable[[Progress], None]

# Reports come no finer than this.
_STEP = 256 << 10


class Meter:
    """Adds up where each download is."""

    def __init__(self, report: Report, total: int, done: int) -> None:
        self._report, self._total, self._done = report, total, done
        self._reported = done
        self._positions: dict[str, int] = {}
        report(Progress(Phase.DOWNLOADING, done, total))

    def at(self, digest: str, position: int) -> None:
        self._done += position - self._positions.get(digest, 0)
        self._positions[digest] = position
        if abs(self._done - self._reported) >= _STEP or self._done == self._total:
            self._reported = self._done
            self._report(Progress(Phase.DOWNLOADING, self._done, self._total))
