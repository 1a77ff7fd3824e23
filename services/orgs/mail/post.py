"""The way to the mail server."""

from dataclasses import dataclass, field
from email.message import EmailMessage

import aiosmtplib

# Shorter than a lease: what takes longer has failed before somebody else tries.
SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The mail server of the installation. Secure: TLS from the first byte; else it is begun where it is offered."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    secure: bool
    sender: str


class Post:
    def __init__(self, relay: Relay, seconds: float = SECONDS) -> None:
        self.sender = relay.sender
        self._relay = relay
        self._seconds = seconds

    async def send(self, message: EmailMessage) -> None:
        """Hand a mail over, within the time limit; returns when the server has taken it."""
        relay = self._relay
        await aiosmtplib.send(
            message,
            hostname=relay.host,
            port=relay.port,
            username=relay.user or None,
            password=relay.password or None,
            use_tls=relay.secure,
            timeout=self._seconds,
        )


def said_of(failure: BaseException) -> str:
    """Return what went wrong, in words that hold nothing of what was sent: no address, no password."""
    code = getattr(failure, "code", None)
    return f"{type(failure).__name__} {code}" if code else type(failure).__name__
