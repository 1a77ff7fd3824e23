"""`ratoon user list | disable | enable`: the people of the installation, as its operator sees them."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from deploy.local.org.output import as_json, rows
from deploy.local.state import Home

Ask = Callable[..., dict[str, Any]]
_COLUMNS = ("id", "name", "email", "emailVerified", "role", "local", "disabledAt", "createdAt")
_DONE = {True: "disabled", False: "enabled"}


def add(user: Any, common: argparse.ArgumentParser, ask: Ask) -> None:
    """Add the commands to those of `ratoon user`; `ask` makes the operator's call."""
    listing = user.add_parser("list", parents=[common], help="list everybody, oldest first")
    _formatted(listing)
    listing.set_defaults(act=lambda parsed, home: _list(parsed, home, ask))
    for verb, disabled, help in (
        ("disable", True, "refuse every credential of somebody from now on"),
        ("enable", False, "accept somebody's credentials again"),
    ):
        command = user.add_parser(verb, parents=[common], help=help)
        who = command.add_mutually_exclusive_group(required=True)
        who.add_argument("email", metavar="EMAIL", nargs="?", help="of a user who was made here")
        who.add_argument("--id", help="the user's id, whoever it is")
        _formatted(command)
        command.set_defaults(act=_setting(ask, disabled))


def _formatted(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=("table", "json"),
        default="table" if sys.stdout.isatty() else "json",
        help="default: a table on a terminal, else JSON",
    )


def _list(parsed: argparse.Namespace, home: Home, ask: Ask) -> int:
    found = ask(home, "list-users")["users"]
    print(as_json(found) if parsed.format == "json" else rows(_COLUMNS, found))
    return 0


def _setting(ask: Ask, disabled: bool) -> Callable[[argparse.Namespace, Home], int]:
    def act(parsed: argparse.Namespace, home: Home) -> int:
        who = ("--id", parsed.id) if parsed.id else ("--email", parsed.email)
        command = "disable-user" if disabled else "enable-user"
        user = ask(home, command, *who)["user"]
        done = f"{user['email'] or user['id']} is {_DONE[disabled]}"
        print(as_json(user) if parsed.format == "json" else done)
        return 0

    return act
