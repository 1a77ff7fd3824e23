"""Paths whose segments may hold an encoded slash: a snapshot's name does."""

from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Path
from starlette.convertors import Convertor, register_url_convertor

PREFIX = "/api"
# Stands for an encoded slash while routes are matched. No decoded path holds a lone surrogate.
_SLASH = "\udc2f"

Segment = Annotated[str, Path()]


class SegmentConvertor(Convertor[str]):
    """One segment of a path, its encoded slashes restored."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        # No id and no name holds a NUL, and no database takes one: it becomes what is in none either.
        return value.replace(_SLASH, "/").replace("\0", "\ufffd")

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("segment", SegmentConvertor())


def keep_slashes(scope: Any) -> None:
    """Decode the path anew, so that `%2F` does not end a segment."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" in raw or b"%2F" in raw:
        encoded = raw.decode("latin-1").replace("%2f", "%2F")
        scope["path"] = _SLASH.join(unquote(part) for part in encoded.split("%2F"))
