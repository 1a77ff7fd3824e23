"""What the fakes have in common: what they were asked, what they shall do, and the usual names."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

STAMP = Timestamp(seconds=1_767_225_600, nanos=123_000_000)
SHOWN_STAMP = "2026-01-01T00:00:00.123Z"
ORG, OTHER = str(UUID(int=1, version=4)), str(UUID(int=2, version=4))
USER = "auth0|ada"
ADMIN, COLLECTOR = "dtn_" + "d" * 64, "collector-credential"
OWNER, VIEWER, KEY, READER, ACCOUNT, ADMIN_PROBE = (
    "eyJ.owner",
    "eyJ.viewer",
    "dtn_" + "a" * 64,
    "dtn_" + "b" * 64,
    "dtn_" + "c" * 64,
    "probe-credential",
)
ADMIN = "dtn_" + "d" * 64
ALL = (
    *("write:snapshots", "delete:snapshots", "manage:api_keys", "manage:members"),
    *("manage:roles", "write:regions", "delete:regions"),
    *("write:registries", "delete:registries"),
)


@dataclass
class Calls:
    """What a fake was asked, in order, and what it shall do instead of answering."""

    requests: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    refusals: dict[str, Exception] = field(default_factory=dict)
    holds: dict[str, asyncio.Event] = field(default_factory=dict)
    running: int = 0
    most: int = 0
    cancelled: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def names(self) -> list[str]:
        return [name for name, _, _ in self.requests]

    def last(self, name: str) -> Any:
        return [request for n, request, _ in self.requests if n == name][-1]

    def metadata(self, name: str) -> dict[str, str]:
        return [metadata for n, _, metadata in self.requests if n == name][-1]

    def tell(self) -> None:
        """Wake those who wait for a change."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, condition: Callable[["Calls"], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition(self):
                await self.changed.wait()

    async def heard(self, name: str, request: Any, context: Any) -> None:
        self.requests.append((name, request, dict(context.invocation_metadata())))
        self.running += 1
        self.most = max(self.most, self.running)
        self.tell()
        try:
            if hold := self.holds.get(name):
                await hold.wait()
            if refusal := self.refusals.get(name):
                raise refusal
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
            self.tell()
