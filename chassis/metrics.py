"""Counters and durations in Prometheus form, on a private port."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

RPCS = Counter("ratoon_rpc_total", "RPCs answered, by method and code.", ["method", "code"])
RPC_SECONDS = Histogram(
    "ratoon_rpc_seconds",
    "Time to answer an RPC, in seconds.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
FEED_LAG = Gauge(
    "ratoon_feed_lag_seconds", "Age of the last event taken from a neighbour's feed.", ["feed"]
)


def expose(listen: str) -> None:
    """Serve the metrics at `host:port`; an empty address serves none."""
    if not listen:
        return
    host, _, port = listen.rpartition(":")
    start_http_server(int(port), addr=host)
