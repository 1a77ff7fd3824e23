"""The command line `ratoon`.

Exit codes: 0 done (or healthy), 1 failed (or unhealthy, or findings), 2 wrong usage, 3 already running or not running;
`ratoon org` has some of its own.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from deploy.local import people
from deploy.local.failures import Failure
from deploy.local.org import parser as organizations
from deploy.local.ports import DEFAULT_PORT
from deploy.local.state import Home, default_home

_EXIT_CODES = (
    "exit codes: 0 done or healthy · 1 failed, unhealthy or findings · 2 wrong usage ·"
    " 3 already running (up) or not running (the others)"
)


def main(arguments: list[str] | None = None) -> int:
    parsed = parser().parse_args(arguments)
    home = Home(parsed.home.absolute())
    try:
        code: int = parsed.act(parsed, home)
    except Failure as failure:
        print(f"ratoon: {failure}", file=sys.stderr)
        return failure.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `ratoon logs | head`: whoever read has enough; keep the interpreter from saying so on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="ratoon", description="Runs Ratoon on this machine.", epilog=_EXIT_CODES
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--home",
        type=Path,
        default=default_home(os.environ),
        metavar="FOLDER",
        help="the state folder (RATOON_HOME; %(default)s)",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", parents=[common], help="start everything; Ctrl-C stops it")
    up.add_argument("--detach", action="store_true", help="return when all is healthy")
    up.add_argument("--edge", action="store_true", help="put Envoy in front of the gateway")
    up.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("RATOON_PORT", str(DEFAULT_PORT)),
        help="where the API is, on 127.0.0.1 (RATOON_PORT; %(default)s)",
    )
    up.add_argument(
        "--no-object-storage",
        action="store_true",
        default=os.environ.get("RATOON_OBJECT_STORAGE") == "off",
        help="run no storage for build contexts (RATOON_OBJECT_STORAGE=off)",
    )
    up.add_argument(
        "--postgres-bin",
        type=Path,
        default=os.environ.get("RATOON_POSTGRES_BIN"),
        metavar="FOLDER",
        help="PostgreSQL's programs, instead of the wheel's (RATOON_POSTGRES_BIN)",
    )
    up.add_argument(
        "--admin-email",
        default=os.environ.get("RATOON_ADMIN_EMAIL", ""),
        help="the administrator's address, used at the first start (RATOON_ADMIN_EMAIL)",
    )
    up.add_argument("--report-fd", type=int, default=-1, help=argparse.SUPPRESS)
    up.set_defaults(act=_up)

    down = commands.add_parser("down", parents=[common], help="stop everything")
    down.add_argument("--fast", action="store_true", help="at once, as after a power cut")
    down.set_defaults(act=_down)

    status = commands.add_parser("status", parents=[common], help="show what runs")
    status.add_argument("--json", action="store_true", help="for programs")
    status.add_argument(
        "--wait",
        type=float,
        default=0,
        metavar="SECONDS",
        help="until all is healthy, at most so long",
    )
    status.set_defaults(act=_status)

    doctor = commands.add_parser(
        "doctor", parents=[common], help="find what is wrong and say what to do"
    )
    doctor.add_argument(
        "--deep",
        action="store_true",
        help="hold rows, blobs and usage of the snapshots against one another",
    )
    doctor.add_argument(
        "--every-byte", action="store_true", help="the same, and read every blob of the store"
    )
    doctor.set_defaults(act=_doctor)

    logs = commands.add_parser("logs", parents=[common], help="show the logs")
    logs.add_argument("process", nargs="?", help="only this one's (see `ratoon status`)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as they grow")
    logs.add_argument(
        "-n", "--lines", type=int, default=50, help="how many of the last lines (%(default)s)"
    )
    logs.set_defaults(act=_logs)

    trust = commands.add_parser(
        "trust",
        parents=[common],
        help="have this system trust the installation's storage, so that clients can upload",
        description="Adds the installation's own authority, which is good for localhost and loopback addresses"
        " only, to those that this system trusts; that takes root. With a program: for that program alone,"
        " which anybody may.",
    )
    trust.add_argument("--undo", action="store_true", help="take it back")
    trust.add_argument("--show", action="store_true", help="name the authority's file, do nothing")
    trust.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="-- PROGRAM …", help="only for this program"
    )
    trust.set_defaults(act=_trust)

    key = commands.add_parser("key", help="account keys, the encryption key").add_subparsers(
        required=True, metavar="COMMAND"
    )
    new = key.add_parser(
        "new", parents=[common], help="print a new key, of the administrator or of --email"
    )
    new.add_argument("--name", default="", help="the key's name")
    new.add_argument("--email", default="", help="the holder's address")
    new.set_defaults(act=_key_new)
    rotate = key.add_parser(
        "rotate-encryption",
        parents=[common],
        help="encrypt what is kept secret under a new key, while everything runs",
    )
    rotate.set_defaults(act=_key_rotate)

    user = commands.add_parser("user", help="people").add_subparsers(
        required=True, metavar="COMMAND"
    )
    add = user.add_parser(
        "add", parents=[common], help="add a verified user and print an account key"
    )
    add.add_argument("email", metavar="EMAIL")
    add.add_argument("--name", default="", help="display name")
    add.add_argument("--admin", action="store_true", help="an administrator of the installation")
    add.set_defaults(act=_user_add)
    people.add(user, common, _operator)
    organizations.add(commands, common)
    return top


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port (1 to 65535)")


def _up(parsed: argparse.Namespace, home: Home) -> int:
    from deploy.local import detach, up

    if parsed.detach:
        print(detach.start(home, _forwarded(parsed, home)))
        return 0
    report = detach.Report(parsed.report_fd)
    detached = parsed.report_fd >= 0
    options = up.Options(
        home=home,
        port=parsed.port,
        edge=parsed.edge,
        object_storage=not parsed.no_object_storage,
        postgres_bin=parsed.postgres_bin.absolute() if parsed.postgres_bin else None,
        admin_email=parsed.admin_email or up.ADMIN_EMAIL,
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


def _down(parsed: argparse.Namespace, home: Home) -> int:
    from deploy.local import control

    control.stop(home, fast=parsed.fast, patience=90)
    return 0


def _status(parsed: argparse.Namespace, home: Home) -> int:
    from deploy.local import control, show

    request = {"do": "status", "wait": parsed.wait}
    status = control.ask(home, request, patience=parsed.wait + 10)
    print(json.dumps(status, indent=2) if parsed.json else show.status(status))
    return 0 if status["state"] == "healthy" else 1


def _doctor(parsed: argparse.Namespace, home: Home) -> int:
    from deploy.local import doctor

    findings = doctor.examine(home, os.environ)
    if parsed.deep or parsed.every_byte:
        findings += doctor.compare(home, every_byte=parsed.every_byte)
    print(doctor.render(findings))
    return 1 if any(not one.fine for one in findings) else 0


def _logs(parsed: argparse.Namespace, home: Home) -> int:
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


def _trust(parsed: argparse.Namespace, home: Home) -> int:
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


def _key_new(parsed: argparse.Namespace, home: Home) -> int:
    answer = _operator(home, "issue-key", "--name", parsed.name, "--email", parsed.email)
    print(answer["secret"])
    return 0


def _key_rotate(_parsed: argparse.Namespace, home: Home) -> int:
    from deploy.local import control

    answer = control.ask(home, {"do": "rotate-encryption"}, patience=600)
    if "error" in answer:
        raise Failure(answer["error"])
    print(f"encrypted anew: {answer['resealed']}")
    return 0


def _user_add(parsed: argparse.Namespace, home: Home) -> int:
    admin = ["--admin"] if parsed.admin else []
    answer = _operator(home, "add-user", "--email", parsed.email, "--name", parsed.name, *admin)
    if not answer["created"]:
        raise Failure(f"{answer['email']} is a user already; `ratoon key new --email` makes a key")
    print(answer["secret"])
    return 0


def _operator(home: Home, command: str, *arguments: str) -> dict[str, object]:
    from deploy.local import control, up

    control.ask(home, {"do": "status"})
    return up.call_operator(home, os.environ, command, *arguments)


if __name__ == "__main__":
    sys.exit(main())
