"""Where a page of a list ended: an opaque word that the next request brings back."""

import base64
import binascii
from typing import Any

import msgspec

from chassis.errors import Kind, Refusal

_encode = msgspec.json.Encoder().encode
_LONGEST = 2_000


class PageTokenInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__("this is not where a page of this list ended")


def token_of(*position: str | int) -> str:
    """Return the word for a position: the values of the list's order in its last row."""
    return base64.urlsafe_b64encode(_encode(position)).rstrip(b"=").decode()


def position_of(token: str, *kinds: type[str] | type[int]) -> tuple[Any, ...] | None:
    """Return the position that a word stands for, its values of the given kinds; None for no word.

    Refused with PAGE_TOKEN_INVALID.
    """
    if not token:
        return None
    try:
        if len(token) > _LONGEST:
            raise PageTokenInvalid
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        found = msgspec.json.decode(raw, type=tuple[str | int, ...])
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
        raise PageTokenInvalid from None
    if tuple(map(type, found)) != kinds or any(isinstance(v, str) and "\x00" in v for v in found):
        raise PageTokenInvalid
    if any(isinstance(v, int) and not -(2**63) <= v < 2**63 for v in found):
        raise PageTokenInvalid
    return found
