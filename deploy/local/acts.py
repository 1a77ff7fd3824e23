"""What each command does; each loads itself what it needs, for most need little."""

import argparse
import json
import os
import sys

from deploy.local.failures import Failure
from deploy.local.state import Home


def start(parsed: argparse.Namespace, home: Home) -> int:
    from deploy.local import detach, up
    from deploy.local.options import ADMIN_EMAIL, Options

    if parsed.detach:
        print(detach.start(home, _forwarded(parsed, home)))
        return 0
    report = detach.Report(parsed.report_fd)
    detached = parsed.report_fd >= 0
    options = Options(
        home=home,
        port=parsed.port,
        edge=parsed.edge,
        object_storage=not parsed.no_object_storage,
        postgres_bin=parsed.postgres_bin.absolute() if parsed.postgres_bin else None,
        admin_email=parsed.admin_email or ADMIN_EMAIL,
        environ=dict(os.environ),
    )
    try:
        up.run(options, report.healthy if detached else _show, quiet=detached)
    except Failure as failure:
        report.failed(failure)
        raise
    return 0


def _show(text: str) -> None:
    print(text, flush=True)


def _forwarded(parsed: argparse.Namespace, home: Home) -> list[str]:
    options = ["--home", str(home.path), "--port", str(parsed.port)]
    if parsed.admin_email:
        options += ["--admin-email", parsed.admin_email]
    if parsed.postgres_bin:
        options += ["--postgres-bin", str(parsed.postgres_bin.absolute())]
    if parsed.no_object_storage:
        options.append("--no-object-storage")
    return [*options, "--edge"] if parsed.edge else options


def stop(parsed: argparse.Namespace, home: Home) -> int:
    from deploy.local import control

    control.stop(home, fast=parsed.fast, patience=90)
    return 0


def show_status(parsed: argparse.Namespace, home: Home) -> int:
    from deploy.local import control, show

    request = {"do": "status", "wait": parsed.wait}
    status = control.ask(home, request, patience=parsed.wait + 10)
    print(json.dumps(status, indent=2) if parsed.json else show.status(status))
    return 0 if status["state"] == "healthy" else 1


def examine(parsed: argparse.Namespace, home: Home) -> int:
    from deploy.local.doctor import examination

    findings = examination.examine(home, os.environ)
    if parsed.deep or parsed.every_byte:
        findings += examination.compare(home, every_byte=parsed.every_byte)
    print(examination.render(findings))
    return 1 if any(not one.fine for one in findings) else 0


def show_logs(parsed: argparse.Namespace, home: Home) -> int:
    names = sorted(path.stem for path in home.logs.glob("*.log"))
    if parsed.process and parsed.process not in names:
        known = ", ".join(names) or "none yet"
        raise Failure(f"there is no log of {parsed.process!r}; there are: {known}")
    files = [
        str(home.logs / f"{name}.log") for name in ([parsed.process] if parsed.process else names)
    ]
    if not files:
        raise Failure(f"there are no logs in {home.logs} yet")
    follow = ["--follow=name", "--retry"] if parsed.follow else []
    sys.stdout.flush()
    os.execvp("tail", ["tail", "-n", str(parsed.lines), *follow, "--", *files])  # noqa: S606, S607 - coreutils does this best


def trust_storage(parsed: argparse.Namespace, home: Home) -> int:
    from deploy.local import trust

    program = parsed.program[1:] if parsed.program[:1] == ["--"] else parsed.program
    if parsed.show:
        print(trust.authority(home))
    elif program:
        trust.run(home, program)
    else:
        act = trust.remove if parsed.undo else trust.add
        print(act(home, trust.system_store()))
    return 0


def new_key(parsed: argparse.Namespace, home: Home) -> int:
    answer = call_operator(home, "issue-key", "--name", parsed.name, "--email", parsed.email)
    print(answer["secret"])
    return 0


def rotate_encryption(_parsed: argparse.Namespace, home: Home) -> int:
    from deploy.local import control

    answer = control.ask(home, {"do": "rotate-encryption"}, patience=600)
    if "error" in answer:
        raise Failure(answer["error"])
    print(f"encrypted anew: {answer['resealed']}")
    return 0


def add_user(parsed: argparse.Namespace, home: Home) -> int:
    admin = ["--admin"] if parsed.admin else []
    answer = call_operator(home, "add-user", "--email", parsed.email, "--name", parsed.name, *admin)
    if not answer["created"]:
        raise Failure(f"{answer['email']} is a user already; `ratoon key new --email` makes a key")
    print(answer["secret"])
    return 0


def call_operator(home: Home, command: str, *arguments: str) -> dict[str, object]:
    from deploy.local import calls, control

    control.ask(home, {"do": "status"})
    return calls.call_operator(home, os.environ, command, *arguments)
