"""One command, from its arguments to what is printed."""

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

from deploy.local import control
from deploy.local.failures import Failure
from deploy.local.org import request
from deploy.local.org.client import Answer, Api, Request
from deploy.local.org.command import Command
from deploy.local.org.commands import COMMANDS
from deploy.local.org.failures import NOT_FOUND, UNAVAILABLE, USAGE, Refused, plain
from deploy.local.org.output import as_json, as_table
from deploy.local.state import Home

_KEY = re.compile(r"[\x21-\x7e]{1,16384}")
_LONGEST_KEY_FILE = 20_000
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LIST = next(command for command in COMMANDS if command.words == "list")
_HINT = "name one with --org or RATOON_ORGANIZATION"


def run(command: Command, parsed: argparse.Namespace, home: Home) -> int:
    """Do it; return the exit code."""
    key = _key(parsed.key_file)
    api = Api(parsed.url or _local(home), key, parsed.timeout)
    try:
        organization = _organization(api, command, parsed)
        asked = request.build(command, parsed, organization)
        if command.streams:
            api.stream(asked)
        else:
            answer = request.ask(api, command, asked, getattr(parsed, "limit", None))
            _print(command, _with_etag(answer), parsed.format)
    finally:
        api.close()
    return 0


def _print(command: Command, value: Any, chosen: str | None) -> None:
    if value is None:
        return
    table = chosen == "table" or (chosen is None and sys.stdout.isatty())
    print(as_table(command, value) if table else as_json(value))


def _with_etag(answer: Answer) -> Any:
    """Return the value; of one thing that has a revision, with what --if-match wants."""
    etag = answer.headers.get("etag")
    if etag and isinstance(answer.value, dict):
        return {**answer.value, "etag": etag}
    return answer.value


def _organization(api: Api, command: Command, parsed: argparse.Namespace) -> str:
    """Return the id of the organization meant; empty where the key decides."""
    if not command.scoped:
        return ""
    named: str = parsed.org
    if _ID.fullmatch(named):
        return named
    if not named and command.by_header:
        return ""
    if not named and command.named:
        raise Refused(f"this is not done to an organization that is not named: {_HINT}", USAGE)
    known = request.ask(api, _LIST, Request(_LIST.method, _LIST.path, {}, None, {}), None).value
    found = [one for one in known if isinstance(one, dict) and named in ("", one.get("name"))]
    if len(found) == 1:
        return str(found[0].get("id"))
    if named and not found:
        raise Refused(f"you are in no organization named {plain(named)!r}", NOT_FOUND)
    names = ", ".join(f"{plain(str(o.get('id')))} ({plain(str(o.get('name')))})" for o in found)
    raise Refused(f"{_HINT}; there are: {names or 'none'}", USAGE)


def _local(home: Home) -> str:
    try:
        return str(control.ask(home, {"do": "status"})["url"])
    except Failure as failure:
        raise Refused(
            f"{failure}; name another API with --url or RATOON_URL", UNAVAILABLE
        ) from failure


def _key(file: str | None) -> str:
    """Return the key; it is never repeated, not even when it is no key."""
    if file:
        key = _read(file).strip()
    else:
        key = (os.environ.get("RATOON_API_KEY") or os.environ.get("DAYTONA_API_KEY") or "").strip()
    if not key:
        raise Refused("no key: set RATOON_API_KEY, or name a file with --key-file", USAGE)
    if not _KEY.fullmatch(key):
        raise Refused("the key is no key: it must be one word of visible ASCII characters", USAGE)
    return key


def _read(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.read(_LONGEST_KEY_FILE)
        with Path(file).open() as opened:
            return opened.read(_LONGEST_KEY_FILE)
    except (OSError, ValueError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else "it is no text"
        raise Refused(f"{file} cannot be read: {reason}", USAGE) from failure
