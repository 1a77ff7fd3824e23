"""What a `WWW-Authenticate` header asks for (RFC 9110 §11.6.1, RFC 6750 §3)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # a grammar, not a secret
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?=\s|,|$)")
_PARAMETER = re.compile(
    rf'[\s,]*({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))[ \t]*(?=,|$)', re.DOTALL
)
_TOKEN68 = re.compile(r"[ \t]+[0-9A-Za-z._~+/-]+=*[ \t]*(?=,|$)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate. Scheme and parameter names are in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse(headers: Iterable[str]) -> list[Challenge]:
    """Every challenge of these headers, in order; what cannot be read ends its header."""
    return [challenge for header in headers for challenge in _challenges(header)]


def _challenges(header: str) -> Iterator[Challenge]:
    at = 0
    while scheme := _SCHEME.match(header, at):
        at = scheme.end()
        parameters: dict[str, str] = {}
        while found := _PARAMETER.match(header, at):
            at = found.end()
            quoted, plain = found[2], found[3]
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
            parameters.setdefault(found[1].lower(), value)
        if not parameters and (opaque := _TOKEN68.match(header, at)):
            at = opaque.end()
        yield Challenge(scheme[1].lower(), parameters)
