"""The outermost layer: what every request and every answer has, whatever happens between them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from gateway.access import failed
from gateway.errors import Problem, path_of
from gateway.live.door import PATH, Door
from gateway.metrics import Numbers
from gateway.parting import Parting, Send
from gateway.paths import keep_slashes
from gateway.visit import CLIENT_GONE, SCOPE_KEY, Visit

if TYPE_CHECKING:
    from gateway.app import Gateway

log = logging.getLogger(__name__)
Asgi = Callable[[Any, Any, Any], Awaitable[None]]
SLOW_SECONDS = 1.0
# What is not offered is no failure of ours.
_FAILURES = frozenset({500, 503, 504})


class Edge:
    """Wraps the application; holds the gateway that every request finds in its scope."""

    def __init__(self, app: Asgi, gateway: "Gateway") -> None:
        self._app = app
        self._gateway = gateway
        self._numbers = Numbers()
        self._live = Door(gateway)
        self._version = (b"x-daytona-api-version", gateway.version.encode())

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._live.connect(scope, receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"not served: {scope['type']}")
        keep_slashes(scope)
        visit = scope[SCOPE_KEY] = Visit(self._gateway, scope)
        parting = Parting(receive, send)
        standing = (self._version, (b"x-request-id", visit.request_id.encode()))

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                message["headers"] = [*message["headers"], *visit.outgoing, *standing]
            await parting.send(message)

        try:
            early = self._early(scope, visit)
            if early is None:
                await self._app(scope, receive, answer)
            else:
                await early(scope, receive, answer)
        except asyncio.CancelledError:
            self._cancelled(visit)
        except Exception as failure:  # noqa: BLE001 - the last line: the connection must get an answer
            await self._broken(visit, scope, receive, answer, failure)
        finally:
            self._record(visit, scope)
        await parting.end()

    def _early(self, scope: Any, visit: Visit) -> Response | None:
        """Return what is answered without asking anybody."""
        if self._gateway.maintenance:
            message = "the installation is in maintenance"
            return failed(visit, scope, Problem(503, "MAINTENANCE", message, {"retry-after": "60"}))
        if scope["path"].startswith(PATH):
            return self._live.plain(scope, visit)
        return None

    def _cancelled(self, visit: Visit) -> None:
        """End quietly if it was the watcher that cancelled, because nobody waits for the answer any more."""
        task = asyncio.current_task()
        if not visit.gone or task is None or task.uncancel() > 0:
            raise asyncio.CancelledError
        visit.status = CLIENT_GONE

    async def _broken(
        self, visit: Visit, scope: Any, receive: Any, answer: Send, failure: Exception
    ) -> None:
        response = failed(visit, scope, failure)
        if visit.status == 0:
            await response(scope, receive, answer)
            return
        # The answer had begun: cutting it off is the only way left to say that it is not whole.
        raise failure

    def _record(self, visit: Visit, scope: Any) -> None:
        seconds = time.perf_counter() - visit.started
        self._numbers.record(visit.operation, visit.status, seconds)
        if self._gateway.access_log or visit.status in _FAILURES or seconds > SLOW_SECONDS:
            self._log(visit, scope, seconds)

    def _log(self, visit: Visit, scope: Any, seconds: float) -> None:
        extra = {
            "method": scope["method"],
            "path": path_of(scope),
            "status": visit.status,
            "milliseconds": round(seconds * 1000, 2),
            "operation": visit.operation,
            "organizationId": visit.organization_id,
            "sourceAddress": visit.address,
            "requestId": visit.request_id,
        }
        log.info("request", extra=extra)
