"""What may be typed after `ratoon`."""

import argparse
import os
from pathlib import Path
from typing import Any

from deploy.local import acts, people
from deploy.local.org import parser as organizations
from deploy.local.ports import DEFAULT_PORT
from deploy.local.state import default_home

_EXIT_CODES = (
    "exit codes: 0 done or healthy · 1 failed, unhealthy or findings · 2 wrong usage ·"
    " 3 already running (up) or not running (the others)"
)


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
    _add_up(commands, common)
    _add_down(commands, common)
    _add_status(commands, common)
    _add_doctor(commands, common)
    _add_logs(commands, common)
    _add_trust(commands, common)
    _add_key(commands, common)
    _add_user(commands, common)
    organizations.add(commands, common)
    return top


def _add_up(commands: Any, common: argparse.ArgumentParser) -> None:
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
    up.set_defaults(act=acts.start)


def _add_down(commands: Any, common: argparse.ArgumentParser) -> None:
    down = commands.add_parser("down", parents=[common], help="stop everything")
    down.add_argument("--fast", action="store_true", help="at once, as after a power cut")
    down.set_defaults(act=acts.stop)


def _add_status(commands: Any, common: argparse.ArgumentParser) -> None:
    status = commands.add_parser("status", parents=[common], help="show what runs")
    status.add_argument("--json", action="store_true", help="for programs")
    status.add_argument(
        "--wait",
        type=float,
        default=0,
        metavar="SECONDS",
        help="until all is healthy, at most so long",
    )
    status.set_defaults(act=acts.show_status)


def _add_doctor(commands: Any, common: argparse.ArgumentParser) -> None:
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
    doctor.set_defaults(act=acts.examine)


def _add_logs(commands: Any, common: argparse.ArgumentParser) -> None:
    logs = commands.add_parser("logs", parents=[common], help="show the logs")
    logs.add_argument("process", nargs="?", help="only this one's (see `ratoon status`)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as they grow")
    logs.add_argument(
        "-n", "--lines", type=int, default=50, help="how many of the last lines (%(default)s)"
    )
    logs.set_defaults(act=acts.show_logs)


def _add_trust(commands: Any, common: argparse.ArgumentParser) -> None:
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
    trust.set_defaults(act=acts.trust_storage)


def _add_key(commands: Any, common: argparse.ArgumentParser) -> None:
    key = commands.add_parser("key", help="account keys, the encryption key").add_subparsers(
        required=True, metavar="COMMAND"
    )
    new = key.add_parser(
        "new", parents=[common], help="print a new key, of the administrator or of --email"
    )
    new.add_argument("--name", default="", help="the key's name")
    new.add_argument("--email", default="", help="the holder's address")
    new.set_defaults(act=acts.new_key)
    rotate = key.add_parser(
        "rotate-encryption",
        parents=[common],
        help="encrypt what is kept secret under a new key, while everything runs",
    )
    rotate.set_defaults(act=acts.rotate_encryption)


def _add_user(commands: Any, common: argparse.ArgumentParser) -> None:
    user = commands.add_parser("user", help="people").add_subparsers(
        required=True, metavar="COMMAND"
    )
    add = user.add_parser(
        "add", parents=[common], help="add a verified user and print an account key"
    )
    add.add_argument("email", metavar="EMAIL")
    add.add_argument("--name", default="", help="display name")
    add.add_argument("--admin", action="store_true", help="an administrator of the installation")
    add.set_defaults(act=acts.add_user)
    people.add(user, common, acts.call_operator)


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port (1 to 65535)")
