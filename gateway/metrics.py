"""What the gateway counts, in Prometheus form."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter(
    "ratoon_http_requests_total",
    "Requests answered, by operation and status.",
    ["operation", "status"],
)
SECONDS = Histogram(
    "ratoon_http_seconds",
    "Time to answer a request, in seconds.",
    ["operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
AUTHENTICATIONS = Counter(
    "ratoon_http_authentications_total",
    "Credentials looked at: remembered, asked of auth, or unknown.",
    ["result"],
)
LEASES = Counter(
    "ratoon_http_limit_leases_total",
    "Questions to auth for shares of limits: answered, or away when it could not be asked.",
    ["result"],
)
REFUSALS_DROPPED = Counter(
    "ratoon_http_refusals_dropped_total",
    "Refused requests that could not be kept for the audit log.",
)
LISTENERS = Gauge(
    "ratoon_live_connections",
    "Connections over which live events are told.",
)


class Numbers:
    """The counters of the requests, their labels looked up once."""

    def __init__(self) -> None:
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def record(self, operation: str, status: int, seconds: float) -> None:
        child = self._children.get((operation, status))
        if child is None:
            child = (REQUESTS.labels(operation, str(status)), SECONDS.labels(operation))
            self._children[operation, status] = child
        child[0].inc()
        child[1].observe(seconds)
