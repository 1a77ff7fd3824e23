"""python -m bench all | requests | orgs | creates | scale | flood | revocation | memory | pull | build | audit | bulk | live: figures with their targets."""

import argparse
import signal
import sys
from collections.abc import Callable

from bench import (
    audit,
    build,
    bulk,
    creates,
    flood,
    live,
    memory,
    orgs,
    pull,
    requests,
    revocation,
    scale,
)
from bench.table import Figure, render, write

_ALL: dict[str, Callable[[argparse.Namespace], list[Figure]]] = {
    "requests": lambda o: requests.measure(o.runs, o.requests),
    "orgs": lambda o: orgs.measure(o.runs, o.requests),
    "creates": lambda o: creates.measure(o.runs),
    "scale": lambda o: scale.measure(o.snapshots),
    "flood": lambda _: flood.measure(),
    "revocation": lambda _: revocation.measure(),
    "memory": lambda o: memory.measure(o.seconds),
    "pull": lambda o: pull.measure(o.runs),
    "build": lambda o: build.measure(o.runs),
    "audit": lambda o: audit.measure(o.records),
    "bulk": lambda o: bulk.measure(o.runs),
    "live": lambda _: live.measure(),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", choices=["all", *_ALL])
    parser.add_argument("--runs", type=int, default=3, help="counted runs, after one to warm up")
    parser.add_argument("--requests", type=int, default=3000, help="requests a run")
    parser.add_argument("--snapshots", type=int, default=1_000_000, help="rows of the large table")
    parser.add_argument("--records", type=int, default=1_000_000, help="lines of the audit log")
    parser.add_argument(
        "--seconds", type=float, default=600, help="mixed load for the memory figure"
    )
    options = parser.parse_args()
    # Ended from outside, a benchmark still takes its system down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = list(_ALL) if options.what == "all" else [options.what]
    short = 0
    for name in chosen:
        figures = _ALL[name](options)
        short += sum(f.met is False for f in figures)
        print(render(name, figures), flush=True)
        print(f"→ {write(name, figures)}\n", flush=True)
    print(f"{short} short of their targets" if short else "all targets met")
    return 0


if __name__ == "__main__":
    sys.exit(main())
