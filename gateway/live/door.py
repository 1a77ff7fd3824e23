"""What is asked at the path of the socket: by whom speaks the right protocol, and by others."""

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.responses import Response

from gateway.access import failed
from gateway.errors import Problem
from gateway.live.connection import OPERATION, Connection
from gateway.metrics import LISTENERS
from gateway.visit import SCOPE_KEY, Visit

if TYPE_CHECKING:
    from gateway.app import Gateway

log = logging.getLogger(__name__)
PATH = "/api/socket.io/"
# Who is connected and has not said yet who it is.
_MOST_CONNECTIONS = 5_000


class Door:
    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._open = 0

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
            await Connection(self._gateway, visit, scope, receive, send).run()
        except Exception:
            log.exception("a connection failed", extra={"requestId": visit.request_id})
            raise
        finally:
            self._open -= 1
            LISTENERS.set(self._open)

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
        if self._open >= _MOST_CONNECTIONS:
            message = "too many connections; try again"
            return failed(visit, scope, Problem(503, "LISTENER_LIMIT_REACHED", message))
        return None
