"""What a command is made of: where it goes, what it takes, what of the answer is shown."""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ORGANIZATION = "{organizationId}"
Kind = Callable[[str], Any]
_PARAMETER = re.compile(r"\{(\w+)\}")


class Null:
    """The value `none`: the field is sent, and cleared."""


def number(text: str) -> int:
    if re.fullmatch(r"-?\d{1,10}", text, re.ASCII):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number")


def or_none(kind: Kind) -> Kind:
    """Return a kind that takes `none`, too."""
    return lambda text: Null() if text == "none" else kind(text)


@dataclass(frozen=True, slots=True)
class Argument:
    """One thing that a command takes. In capitals: a word in its place; else an option, left out unless given."""

    flag: str
    name: str
    help: str
    # `path`, `query` or `body`.
    place: str = "body"
    kind: Kind = str
    required: bool = False
    # May be given several times; a list is sent, and where `empty`, an empty one too.
    many: bool = False
    empty: bool = True
    choices: tuple[str, ...] = ()

    @property
    def dest(self) -> str:
        return f"{self.place}:{self.name}"

    def add(self, parser: argparse.ArgumentParser) -> None:
        options: dict[str, Any] = {"help": self.help, "type": self.kind}
        if self.choices:
            options["choices"] = self.choices
        if self.flag.isupper():
            shown = None if self.choices else self.flag
            parser.add_argument(self.dest, metavar=shown, **options)
            return
        if self.many:
            options |= {"action": "append", "default": [] if self.empty else None}
        if not self.choices:
            options["metavar"] = self.flag.rsplit("-", 1)[-1].upper()
        parser.add_argument(self.flag, dest=self.dest, required=self.required, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command: `ratoon org [NOUN] VERB`."""

    noun: str = ""
    verb: str
    method: str = "GET"
    path: str
    help: str
    arguments: tuple[Argument, ...] = ()
    # What a table shows of each item; nothing given: all there is.
    columns: tuple[str, ...] = ()
    # The organization is named by header, where the path does not name it.
    by_header: bool = False
    # What cannot be undone wants the organization named.
    named: bool = False
    # Where it goes if --user is given.
    of_user: str = ""
    # More to be read, and shown as part of the same object.
    also: tuple[str, ...] = ()
    # The list may be walked page by page.
    pages: bool = False
    # The part of the answer that is the list, of which `nextToken` asks for the next page.
    items: str = ""
    # It may be made dependent on a revision.
    conditional: bool = False
    # It makes something, once for the same Idempotency-Key.
    creates: bool = False
    # The answer is passed on as it comes.
    streams: bool = False
    # A null keeps a value here: what shall be cleared is listed under this name instead.
    cleared: str = ""

    @property
    def words(self) -> str:
        return f"{self.noun} {self.verb}".strip()

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(p for p in (self.path, self.of_user, *self.also) if p)

    @property
    def scoped(self) -> bool:
        return self.by_header or ORGANIZATION in self.path


def parameters(path: str) -> list[str]:
    """Return the names that a path leaves open."""
    return _PARAMETER.findall(path)


def at(flag: str, name: str, help: str, choices: tuple[str, ...] = ()) -> Argument:
    """Return a part of the path."""
    return Argument(flag, name, help, place="path", choices=choices)


def filter_(flag: str, name: str, help: str, kind: Kind = str) -> Argument:
    """Return a part of the query."""
    return Argument(flag, name, help, place="query", kind=kind)
