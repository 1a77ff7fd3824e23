"""What the builder counts."""

from prometheus_client import Counter, Gauge, Histogram

from services.snapshots.worker.measures import Measures

BUILDING = Measures(
    Counter(
        "ratoon_builds_total",
        "Attempts to build, by how they ended: OK, RETRIED, CANCELLED or the code of the failure.",
        ["code"],
    ),
    Histogram(
        "ratoon_build_seconds",
        "Time of an attempt to build, in seconds.",
        buckets=(1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200),
    ),
    Gauge("ratoon_builds_due", "Builds that could run and wait for a builder."),
    Gauge("ratoon_builds_oldest_due_seconds", "How long the oldest of them has been waiting."),
)
