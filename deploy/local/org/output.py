"""Answers for people, as tables, and for programs, as JSON."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from deploy.local.org.command import Command
from deploy.local.org.failures import plain

_WIDEST = 60
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Left as they are by JSON, but not by every terminal.
_STEERING = re.compile(r"[\x7f-\x9f]")


def as_json(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def as_table(command: Command, value: Any) -> str:
    if isinstance(value, list):
        return rows(command.columns, value)
    if isinstance(value, dict):
        names = [n for n in command.columns if n in value] if command.columns else list(value)
        return _object({name: value[name] for name in names})
    return _cell(value)


def _object(value: dict[str, Any]) -> str:
    """Return a line for each field; lists of what has no name stand below, as tables of their own."""
    below = {name: part for name, part in value.items() if _is_table(part)}
    lines = _aligned([_title(n), _cell(part)] for n, part in value.items() if n not in below)
    tables = (f"{_title(n)}:\n{rows(list(part[0]), part)}" for n, part in below.items())
    return "\n\n".join(text for text in (lines, *tables) if text)


def _is_table(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and "name" not in item for item in value)
    )


def rows(columns: Sequence[str], items: list[Any]) -> str:
    """Return a table of the items' fields of these names, with a head."""
    known = [item for item in items if isinstance(item, dict)]
    if len(known) < len(items):
        return "\n".join(_cell(item) for item in items)
    head = [_title(column) for column in columns]
    below = ([_short(_cell(item.get(column))) for column in columns] for item in known)
    return _aligned([head, *below])


def _aligned(rows: Iterable[list[str]]) -> str:
    cells = list(rows)
    if not cells:
        return ""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _title(name: str) -> str:
    return plain(_WORD.sub(" ", name)).lower()


def _cell(value: Any) -> str:
    if value is None or value == [] or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_part, value))
    return _part(value)


def _part(value: Any) -> str:
    """Return one value in a line; of something that has a name, the name."""
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return plain(value["name"])
    if isinstance(value, dict | list):
        return plain(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return plain(str(value))


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
