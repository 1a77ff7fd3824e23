"""One connection: opened, let in by its first word, told what happens, dropped when it may not listen any more."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from chassis.errors import Refusal
from chassis.grpc.access import CredentialMissing, check
from chassis.grpc.caller import Caller
from gateway.access import LISTENS, refuse
from gateway.auth import Established, Presented
from gateway.call import origin_of
from gateway.errors import Problem, problem_of
from gateway.live import packets
from gateway.live.packets import Connect, Leave, Pong, Unreadable
from gateway.visit import Visit

if TYPE_CHECKING:
    from gateway.app import Gateway

log = logging.getLogger(__name__)
# Who says nothing is not kept; neither is who says too much, or does not take what it is told.
_FIRST_WORD_SECONDS = 10.0
_CLOSE_SECONDS = 2.0
_MOST_WORDS = 200
_MOST_WAITING = 1_000
_HINT_LIMIT, _CREDENTIAL_LIMIT = 64, 16_384
_NORMAL, _GOING_AWAY, _POLICY = 1000, 1001, 1008
OPERATION = "socket.io"


class Dropped(Exception):
    """The connection is to end, for a reason."""

    def __init__(self, code: int, why: str, last: str = "") -> None:
        super().__init__(why)
        self.code = code
        self.last = last


class Connection:
    """Implements `rooms.Listener`."""

    caller: Caller

    def __init__(
        self,
        gateway: "Gateway",
        visit: Visit,
        scope: Any,
        receive: Any,
        send: Any,
        known: Callable[[], None],
    ) -> None:
        """`known` is called when it has said who it is."""
        self._gateway = gateway
        self._visit = visit
        self._receive = receive
        self._send = send
        self._known = known
        self._id = secrets.token_urlsafe(15)
        query = parse_qs((scope.get("query_string") or b"").decode("latin-1"))
        self._organization = query.get("organizationId", [""])[0][:_HINT_LIMIT]
        self._presented: Presented | None = None
        self._waiting: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        self._ended: asyncio.Future[Dropped] = asyncio.get_running_loop().create_future()
        self._heard = time.monotonic()
        self._pinged = False

    async def run(self) -> None:
        """Serve until either side ends it."""
        await self._receive()
        await self._send({"type": "websocket.accept"})
        code, why, last = _NORMAL, "", ""
        try:
            await self._text(packets.opened(self._id))
            await self._introduced()
            self._known()
            await self._listen()
        except Dropped as dropped:
            code, why, last = dropped.code, str(dropped), dropped.last
        except (Refusal, Problem) as refusal:
            code, why = _POLICY, await self._refused(refusal)
        except OSError:
            # The client is gone.
            return
        await self._close(code, why, last)

    def tell(self, text: str) -> None:
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.drop("too slow")

    def drop(self, why: str, last: str = "") -> None:
        if not self._ended.done():
            self._ended.set_result(Dropped(_GOING_AWAY, why, last))

    async def _introduced(self) -> None:
        """Wait for the first word, and let in who says it, or refuse."""
        try:
            async with asyncio.timeout(_FIRST_WORD_SECONDS):
                said = await self._word()
        except TimeoutError:
            raise Dropped(_POLICY, "no word") from None
        if not isinstance(said, Connect):
            raise Dropped(_POLICY, "another word is the first")
        if said.namespace != "/":
            raise Problem(404, "NAMESPACE_UNKNOWN", "there is no such namespace")
        if not 0 < len(said.token) <= _CREDENTIAL_LIMIT:
            raise CredentialMissing("a valid credential is required")
        self._presented = Presented(said.token, "", self._organization)
        established = await self._established()
        self.caller = self._visit.caller = established.caller
        self._visit.organization_id = self.caller.organization_id
        limits = self._gateway.limits
        if established.subject:
            own = established.own_limits
            await limits.count(self._visit, established.subject, own, "")

    async def _listen(self) -> None:
        rooms = self._gateway.rooms
        with rooms.place(self):
            await rooms.stand()
            # What was revoked since it was let in nobody has told: it was in no room yet.
            await self._established()
            await self._text(packets.connected(self._id))
            work = (self._hear(), self._tell(), self._keep())
            tasks: list[asyncio.Future[Any]] = [asyncio.create_task(one) for one in work]
            try:
                await asyncio.wait([self._ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
        if self._ended.done():
            raise self._ended.result()
        for failure in ended:
            if isinstance(failure, Refusal):
                # Whoever may listen no longer is told so when coming back.
                raise Dropped(_GOING_AWAY, failure.reason)
            if isinstance(failure, Exception):
                raise failure

    async def _established(self) -> Established:
        """Return who listens, as auth knows it now; refused when it may not."""
        assert self._presented is not None
        origin = origin_of(self._visit)
        established = await self._gateway.authenticator.establish(self._presented, lambda: origin)
        check(LISTENS, established.caller)
        if established.caller.api_key_id:
            self._gateway.uses.note(established.caller.api_key_id)
        return established

    async def _hear(self) -> None:
        """Take what the client says; return when it goes."""
        words, since = 0, time.monotonic()
        while not isinstance(said := await self._word(), Leave):
            now = time.monotonic()
            if now - since > packets.PING_SECONDS:
                words, since = 0, now
            words += 1
            if words > _MOST_WORDS or isinstance(said, Connect):
                raise Dropped(_POLICY, "too many words")
            if isinstance(said, Pong):
                self._heard = now

    async def _tell(self) -> None:
        while True:
            await self._text(await self._waiting.get())

    async def _keep(self) -> None:
        """Ask now and then whether the client is there, and whether it may listen still: a credential may expire."""
        while True:
            asked = time.monotonic()
            await asyncio.sleep(packets.PING_SECONDS)
            if self._pinged and self._heard < asked:
                raise Dropped(_GOING_AWAY, "no answer")
            await self._established()
            self._pinged = True
            self.tell(packets.PING)

    async def _word(self) -> Any:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            return Leave()
        text = message.get("text")
        try:
            if text is None or len(text) > packets.MOST_BYTES:
                raise Unreadable
            return packets.read(text)
        except Unreadable:
            raise Dropped(_POLICY, "unreadable") from None

    async def _refused(self, refusal: Refusal | Problem) -> str:
        """Say why, as a request would be told; return the code."""
        problem: Problem | Refusal = refusal
        if isinstance(refusal, CredentialMissing):
            problem = await self._gateway.limits.failed(self._visit) or refusal
        said = problem_of(problem)
        refuse(self._visit, said)
        await self._text(packets.refused(said.code, said.message))
        return said.code

    async def _text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    async def _close(self, code: int, why: str, last: str) -> None:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                if last:
                    await self._text(last)
                await self._send({"type": "websocket.close", "code": code, "reason": why})
        except (OSError, RuntimeError):
            # The client was faster, or takes nothing any more.
            return
