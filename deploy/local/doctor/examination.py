"""Everything looked at, one after the other."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deploy.local import control
from deploy.local.doctor import databases, installation, machine
from deploy.local.doctor.finding import Finding
from deploy.local.failures import Failure, NotRunning
from deploy.local.state import Home


def examine(home: Home, environ: Mapping[str, str]) -> list[Finding]:
    """Look at everything; nothing is changed."""
    status = _status(home)
    checks: list[Callable[[], Iterator[Finding]]] = [
        machine.python,
        lambda: machine.programs(home),
        lambda: machine.settings(environ),
        lambda: installation.modes(home),
        lambda: machine.room(home),
        machine.clock,
        lambda: machine.port(status, environ),
        lambda: installation.processes(status),
        lambda: databases.revisions(home, environ, status),
        lambda: installation.store(home, environ),
        lambda: installation.builder(environ),
        lambda: installation.orphans(home),
    ]
    return [finding for check in checks for finding in _guarded(check)]


def compare(home: Home, *, every_byte: bool) -> list[Finding]:
    """Hold rows, blobs and usage of the snapshots against one another; nothing is changed."""
    try:
        answer = control.ask(home, {"do": "audit", "everyByte": every_byte}, patience=3600)
    except NotRunning:
        return [Finding("snapshots", "not compared, for Ratoon does not run", "`ratoon up` first")]
    if "error" in answer:
        return [Finding("snapshots", answer["error"], "read `ratoon logs snapshots`")]
    remedy = "tell who develops Ratoon, with this line and `ratoon logs snapshots-worker`"
    found = [
        Finding(f"snapshots: {one['question']}", f"{one['about']}: {one['wrong']}", remedy)
        for one in answer["discrepancies"]
    ]
    return found or [Finding("snapshots", "rows, blobs and usage agree")]


def render(findings: list[Finding]) -> str:
    lines = []
    for finding in findings:
        lines.append(f"{'ok  ' if finding.fine else 'BAD '} {finding.about}: {finding.seen}")
        if not finding.fine:
            lines.append(f"     -> {finding.remedy}")
    bad = sum(not finding.fine for finding in findings)
    return "\n".join([*lines, "", f"{bad} finding(s)" if bad else "all is well"])


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Failure as failure:
        yield Finding(
            "check", str(failure), "do as the message says, then run `ratoon doctor` again"
        )
    except OSError as failure:
        yield Finding("check", str(failure), "make the file readable for the user that runs Ratoon")


def _status(home: Home) -> dict[str, Any] | None:
    try:
        return control.ask(home, {"do": "status"})
    except NotRunning:
        return None
