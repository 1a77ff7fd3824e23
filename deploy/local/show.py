"""The status for people."""

import time
from typing import Any


def status(found: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("process", "state", "pid", "restarts", "since", "metrics")]
    rows += [_row(process) for process in found["processes"]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    head = (
        f"{found['url']}  {found['state']}  (supervisor {found['pid']}, state in {found['home']})"
    )
    ends = [
        f"{process['name']} last ended with {process['lastEnd']}"
        for process in found["processes"]
        if process["lastEnd"]
    ]
    return "\n".join([head, "", *table, *([""] if ends else []), *ends])


def _row(process: dict[str, Any]) -> tuple[str, ...]:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(process["since"]))
    return (
        process["name"],
        process["state"],
        str(process["pid"] or "-"),
        str(process["restarts"]),
        since,
        process["metrics"] or "-",
    )
