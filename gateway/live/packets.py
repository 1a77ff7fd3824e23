"""The part of Engine.IO 4 and Socket.IO 5 that the published clients speak: one namespace, text, a web socket."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

PING_SECONDS, PONG_SECONDS = 25.0, 20.0
MOST_BYTES = 65_536
PING = "2"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Connect:
    """A client says who it is."""

    namespace: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pong:
    """A client is there."""


@dataclass(frozen=True, slots=True)
class Leave:
    """A client goes."""


@dataclass(frozen=True, slots=True)
class Other:
    """Something that nobody here listens to."""


class Unreadable(Exception):
    """Nothing that a client would send."""


def read(text: str) -> Connect | Pong | Leave | Other:
    """Return what a client says."""
    match text[:1], text[1:2]:
        case "3", _:
            return Pong()
        case "1", _:
            return Leave()
        case "4", "0":
            return _connect(text[2:])
        case "4", "1":
            return Leave()
        case "4", _:
            return Other()
        case _:
            raise Unreadable


def opened(id_: str) -> str:
    said = {
        "sid": id_,
        "upgrades": [],
        "pingInterval": int(PING_SECONDS * 1000),
        "pingTimeout": int(PONG_SECONDS * 1000),
        "maxPayload": MOST_BYTES,
    }
    return "0" + _encode(said).decode()


def connected(id_: str) -> str:
    return "40" + _encode({"sid": id_}).decode()


def refused(code: str, message: str) -> str:
    return "44" + _encode({"message": message, "data": {"code": code}}).decode()


def event(name: str, said: Any) -> str:
    return "42" + _encode([name, said]).decode()


def _connect(rest: str) -> Connect:
    namespace = "/"
    if rest.startswith("/"):
        namespace, _, rest = rest.partition(",")
    try:
        told = _decode(rest) if rest else {}
    except (msgspec.DecodeError, RecursionError):
        raise Unreadable from None
    token = told.get("token")
    return Connect(namespace, token if isinstance(token, str) else "")
