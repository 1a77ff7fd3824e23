"""Refusals: what a request may not have, said in words that clients can rely on."""

from enum import StrEnum
from typing import ClassVar


class Kind(StrEnum):
    """Canonical codes, spelled as google.rpc.Code spells them."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ABORTED = "ABORTED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    UNIMPLEMENTED = "UNIMPLEMENTED"


class Refusal(Exception):
    """A request the caller may not have. Its reason is API: never rename it.

    The message is for people; the metadata holds what the message names, for machines (keys lowerCamel).
    """

    kind: ClassVar[Kind]
    reason: ClassVar[str]

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata
