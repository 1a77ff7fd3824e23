"""JSON from a registry: never trusted, every field checked before it is used."""

import json
from typing import Any, NoReturn

from services.snapshots.images.failures import Code, PullFailed

Document = dict[str, Any]


def invalid(reason: str) -> NoReturn:
    raise PullFailed(Code.IMAGE_INVALID, reason)


def loads(data: bytes, what: str) -> Document:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        invalid(f"the {what} is not JSON")
    if not isinstance(document, dict):
        invalid(f"the {what} is not a JSON object")
    return document


def text(document: Document, key: str, what: str) -> str:
    """A string; absent and null read as empty."""
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        invalid(f"{key} of the {what} is not a string")
    return _storable(value, key, what)


def texts(document: Document, key: str, what: str) -> tuple[str, ...]:
    """A list of strings; absent and null read as empty."""
    values = document.get(key)
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        invalid(f"{key} of the {what} is not a list of strings")
    return tuple(_storable(value, key, what) for value in values)


def mapping(document: Document, key: str, what: str) -> dict[str, str]:
    """An object of strings; absent and null read as empty."""
    values = part(document, key, what)
    if not all(isinstance(value, str) for value in values.values()):
        invalid(f"{key} of the {what} holds something that is not a string")
    return {
        _storable(name, key, what): _storable(value, key, what) for name, value in values.items()
    }


def part(document: Document, key: str, what: str) -> Document:
    """An object; absent and null read as empty."""
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        invalid(f"{key} of the {what} is not an object")
    return value


def objects(document: Document, key: str, what: str) -> list[Document]:
    """A list of objects, which must be there."""
    values = document.get(key)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        invalid(f"{key} of the {what} is not a list of objects")
    return values


def _storable(value: str, key: str, what: str) -> str:
    """Neither a database nor an `execve` takes NUL; neither UTF-8 nor a wire takes surrogates."""
    if "\0" in value or (
        not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value)
    ):
        invalid(f"{key} of the {what} holds characters that no text has")
    return value
