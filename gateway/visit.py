"""One request's way through the gateway: what is known of it, and whether its client still waits."""

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chassis.grpc.caller import Caller
    from gateway.app import Gateway
    from gateway.auth import Presented

Receive = Callable[[], Awaitable[Any]]
SCOPE_KEY = "ratoon.visit"
CLIENT_GONE = 499
# Most requests are answered before this; they pay one timer and no task.
_WATCH_AFTER = 0.05
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class Visit:
    """Kept in the scope under SCOPE_KEY; made by the edge, filled on the way, recorded at the end."""

    __slots__ = (
        "_task",
        "_timer",
        "_watcher",
        "address",
        "caller",
        "gateway",
        "gone",
        "incoming",
        "operation",
        "organization_id",
        "outgoing",
        "request_id",
        "started",
        "status",
        "stranger",
    )

    def __init__(self, gateway: "Gateway", scope: Any) -> None:
        self.gateway = gateway
        self.incoming: dict[bytes, bytes] = dict(scope["headers"])
        self.outgoing: list[tuple[bytes, bytes]] = []
        self.started = time.perf_counter()
        self.request_id = _request_id(self.incoming.get(b"x-request-id"))
        self.address = gateway.peers.address(scope, self.incoming)
        self.operation = ""
        self.organization_id = ""
        # Who was established, let in or not; or what one shows who was not established where it was asked.
        self.caller: Caller | None = None
        self.stranger: Presented | None = None
        self.status = 0
        self.gone = False
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._task: asyncio.Task[Any] | None = None

    def watch(self, receive: Receive) -> None:
        """From now on, cancel the task that serves this request when its client goes away.

        The body must have been read: the watcher takes what is still to be received.
        """
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(_WATCH_AFTER, self._arm, receive)

    def unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        self._task = None

    def _arm(self, receive: Receive) -> None:
        self._watcher = asyncio.create_task(self._await_end(receive))

    async def _await_end(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        if self._task is not None:
            self.gone = True
            self._task.cancel()


def _request_id(sent: bytes | None) -> str:
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent.decode()
    return secrets.token_hex(16)
