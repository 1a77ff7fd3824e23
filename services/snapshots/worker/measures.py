"""What the worker counts."""

from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram

PULLS = Counter(
    "ratoon_pulls_total",
    "Attempts to pull an image, by how they ended: OK, RETRIED, CANCELLED or the code of the failure.",
    ["code"],
)
PULL_SECONDS = Histogram(
    "ratoon_pull_seconds",
    "Time of an attempt to pull an image, in seconds.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
)
BYTES = Counter("ratoon_pull_bytes_total", "Bytes of layers downloaded into the store.")
DUE = Gauge("ratoon_pulls_due", "Pulls that could run and wait for a worker.")
OLDEST = Gauge("ratoon_pulls_oldest_due_seconds", "How long the oldest of them has been waiting.")


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one kind of work: how it ended, how long it took, what waits."""

    ended: Counter
    seconds: Histogram
    due: Gauge
    oldest: Gauge


PULLING = Measures(PULLS, PULL_SECONDS, DUE, OLDEST)
LOST = Counter("ratoon_store_blobs_lost_total", "Blobs found missing or damaged in the store.")
