"""The paths of the public API: those that this gateway does not serve yet are told from those that do not exist."""

from collections import defaultdict
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("published.txt")
Template = tuple[str, ...]


@cache
def _templates() -> dict[int, list[tuple[str, Template]]]:
    """Return (method, segments) of every published operation, by the number of segments."""
    found: defaultdict[int, list[tuple[str, Template]]] = defaultdict(list)
    for line in _FILE.read_text().splitlines():
        method, _, path = line.partition(" ")
        segments = tuple(path.strip("/").split("/"))
        found[len(segments)].append((method, segments))
    return dict(found)


def methods(path: str) -> frozenset[str]:
    """Return the methods that are published for a path, given without the prefix; none: there is no such path."""
    asked = path.removeprefix("/").split("/")
    return frozenset(
        method
        for method, segments in _templates().get(len(asked), ())
        if all(_fits(one, other) for one, other in zip(segments, asked, strict=True))
    )


def _fits(segment: str, asked: str) -> bool:
    return bool(asked) if segment.startswith("{") else segment == asked
