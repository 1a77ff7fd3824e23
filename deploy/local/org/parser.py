"""The commands as argparse knows them, made from their table."""

import argparse
import os
import re
from typing import Any

from deploy.local.org.command import Command, number
from deploy.local.org.commands import COMMANDS, NOUNS
from deploy.local.org.failures import EXIT_CODES

_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
_KEYS = "The key is read from RATOON_API_KEY or DAYTONA_API_KEY, or with --key-file from a file."


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `org` to the commands of `ratoon`."""
    org = commands.add_parser(
        "org", help="organizations, members, roles, keys, …", description=_KEYS, epilog=EXIT_CODES
    )
    verbs = org.add_subparsers(required=True, metavar="COMMAND")
    below = {
        noun: verbs.add_parser(noun, help=help, epilog=EXIT_CODES).add_subparsers(
            required=True, metavar="COMMAND"
        )
        for noun, help in NOUNS.items()
    }
    for command in COMMANDS:
        of = below[command.noun] if command.noun else verbs
        parser = of.add_parser(
            command.verb,
            parents=[common],
            help=command.help,
            description=f"{command.help} ({command.method} {command.path})",
            epilog=EXIT_CODES,
        )
        _fill(parser, command)
        parser.set_defaults(act=_act, org_command=command)


def _fill(parser: argparse.ArgumentParser, command: Command) -> None:
    for argument in command.arguments:
        argument.add(parser)
    if command.scoped:
        parser.add_argument(
            "--org",
            default=_first("RATOON_ORGANIZATION", "DAYTONA_ORGANIZATION_ID"),
            help="the organization, by id or name (RATOON_ORGANIZATION)",
        )
    if command.of_user:
        parser.add_argument("--user", help="id of the holder, if that is not you")
    if command.pages:
        parser.add_argument("--limit", type=_positive, help="at most so many; default all")
    if command.conditional:
        parser.add_argument(
            "--if-match", type=_visible, metavar="ETAG", help="only if nobody changed it since"
        )
    if command.creates:
        parser.add_argument(
            "--idempotency-key", type=_visible, metavar="KEY", help="make it once for this key"
        )
    _usual(parser)


def _usual(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        default=_first("RATOON_URL", "DAYTONA_API_URL"),
        help="address of the API (RATOON_URL; default: what runs on this machine)",
    )
    parser.add_argument(
        "--key-file", metavar="FILE", help="file with the key; - for standard input"
    )
    parser.add_argument(
        "--format", choices=("json", "table"), help="default: table on a terminal, else json"
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="(%(default)s)"
    )


def _act(parsed: argparse.Namespace, home: Any) -> int:
    # Only whoever calls the API pays for the HTTP client.
    from deploy.local.org import run

    return run.run(parsed.org_command, parsed, home)


def _first(*names: str) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _positive(text: str) -> int:
    if (found := number(text)) > 0:
        return found
    raise argparse.ArgumentTypeError(f"{text!r} is less than 1")


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0
    if 0 < found <= 3600:
        return found
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to 3600")


def _visible(text: str) -> str:
    if _VISIBLE.fullmatch(text):
        return text
    raise argparse.ArgumentTypeError("1 to 255 visible ASCII characters")
