"""What is asked at the path of the socket: by whom speaks the right protocol, and by others."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.responses import Response

from gateway.access import failed
from gateway.addresses import limited_as
from gateway.errors import Problem
from gateway.live.connection import OPERATION, Connection
from gateway.metrics import LISTENERS
from gateway.visit import SCOPE_KEY, Visit

if TYPE_CHECKING:
    from gateway.app import Gateway

log = logging.getLogger(__name__)
PATH = "/api/socket.io/"
_MOST_CONNECTIONS = 5_000
# Who has not said yet who it is, from one address: nobody takes the places of all who do by saying nothing.
_MOST_STRANGERS = 100


class Door:
    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._open = 0
        self._strangers: Counter[str] = Counter()

    async def connect(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a web socket."""
        visit = scope[SCOPE_KEY] = Visit(self._gateway, scope)
        visit.operation = OPERATION
        refusal = self._refusal(scope, visit)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        self._open += 1
        LISTENERS.set(self._open)
        try:
            with self._stranger(visit) as known:
                await Connection(self._gateway, visit, scope, receive, send, known).run()
        except Exception:
            log.exception("a connection failed", extra={"requestId": visit.request_id})
            raise
        finally:
            self._open -= 1
            LISTENERS.set(self._open)

    @contextmanager
    def _stranger(self, visit: Visit) -> Iterator[Callable[[], None]]:
        """Count somebody among the strangers until it is known, or gone."""
        with ExitStack() as counted:
            address = limited_as(visit.address)
            self._strangers[address] += 1
            counted.callback(self._no_stranger, address)
            yield counted.close

    def _no_stranger(self, address: str) -> None:
        self._strangers[address] -= 1
        if not self._strangers[address]:
            del self._strangers[address]

    def plain(self, scope: Any, visit: Visit) -> Response:
        """Answer a request that is none to open a web socket."""
        visit.operation = OPERATION
        message = "live events are told over a web socket only (EIO=4&transport=websocket)"
        return failed(visit, scope, Problem(400, "WEBSOCKET_REQUIRED", message))

    def _refusal(self, scope: Any, visit: Visit) -> Response | None:
        if self._gateway.maintenance:
            message = "the installation is in maintenance"
            return failed(visit, scope, Problem(503, "MAINTENANCE", message, {"retry-after": "60"}))
        query = parse_qs((scope.get("query_string") or b"").decode("latin-1"))
        spoken = query.get("EIO") == ["4"] and query.get("transport") == ["websocket"]
        if not spoken:
            return self.plain(scope, visit)
        if self._open >= _MOST_CONNECTIONS or (
            self._strangers.get(limited_as(visit.address), 0) >= _MOST_STRANGERS
        ):
            message = "too many connections; try again"
            return failed(visit, scope, Problem(503, "LISTENER_LIMIT_REACHED", message))
        return None
