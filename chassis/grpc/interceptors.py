"""What happens around every RPC: caller, access, origin, refusals, numbers."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import grpc
from grpc.aio import ServerInterceptor

from chassis.errors import Refusal
from chassis.grpc.access import Rule, check, check_scope
from chassis.grpc.caller import METADATA_KEY, Caller, CallerInvalid, Verifier
from chassis.grpc.status import status_of
from chassis.metrics import RPC_SECONDS, RPCS
from chassis.origin import Origin, current_origin

log = logging.getLogger(__name__)
current_caller: ContextVar[Caller] = ContextVar("caller")
SLOW_SECONDS = 1.0
# Answered by the libraries, to anybody on the private network: whether a server lives and what it offers.
OPEN = (
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/grpc.reflection.v1.ServerReflection/",
)


class Door(ServerInterceptor):
    """Lets in who may come in, and turns every refusal into a status; wraps each handler once."""

    def __init__(self, rules: dict[str, Rule], verifier: Verifier, domain: str) -> None:
        self._rules = rules
        self._verifier = verifier
        self._domain = domain
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        self._calls = 0
        self._leaving = False
        self._empty = asyncio.Event()

    async def leave(self) -> None:
        """End the streams, which would never end by themselves, and wait until every call is answered.

        Whoever reads a stream is told to come again.
        """
        self._leaving = True
        for task in self._streams:
            task.cancel()
        self._look_around()
        await self._empty.wait()

    def _look_around(self) -> None:
        if self._leaving and not self._calls and not self._streams:
            self._empty.set()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None or method.startswith(OPEN):
                return handler
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Any) -> Any:
        if handler.unary_unary is not None:
            act = self._unary(method, handler.unary_unary)
            make: Any = grpc.unary_unary_rpc_method_handler
        elif handler.unary_stream is not None:
            act = self._stream(method, handler.unary_stream)
            make = grpc.unary_stream_rpc_method_handler
        else:
            raise TypeError(f"{method}: client streams have no door yet")
        return make(act, handler.request_deserializer, handler.response_serializer)

    def _unary(self, method: str, behavior: Any) -> Any:
        rule, count, seconds = self._rules.get(method), _Counts(method), RPC_SECONDS.labels(method)

        async def act(request: Any, context: Any) -> Any:
            started = time.perf_counter()
            code = "OK"
            self._calls += 1
            try:
                self._enter(rule, request, context)
                return await behavior(request, context)
            except Refusal as refusal:
                code = refusal.kind.value
                await self._refuse(context, refusal)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except Exception as failure:  # noqa: BLE001 - the last line: nothing of it may reach the caller
                code = await self._fail(context, method, failure)
            finally:
                self._calls -= 1
                self._look_around()
                _done(method, count, seconds, started, code)

        return act

    def _stream(self, method: str, behavior: Any) -> Any:
        rule, count = self._rules.get(method), _Counts(method)

        async def act(request: Any, context: Any) -> AsyncIterator[Any]:
            code = "OK"
            task = asyncio.current_task()
            assert task is not None
            self._streams.add(task)
            try:
                self._enter(rule, request, context)
                async for answer in behavior(request, context):
                    yield answer
            except Refusal as refusal:
                code = refusal.kind.value
                await self._refuse(context, refusal)
            except (asyncio.CancelledError, GeneratorExit) as ended:
                code = "CANCELLED"
                if self._leaving and isinstance(ended, asyncio.CancelledError):
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
                raise
            except Exception as failure:  # noqa: BLE001 - the last line: nothing of it may reach the caller
                code = await self._fail(context, method, failure)
            finally:
                self._streams.discard(task)
                self._look_around()
                count(code)

        return act

    def _enter(self, rule: Rule | None, request: Any, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        if rule is None:
            raise CallerInvalid("this method has no access rule")
        caller = self._verifier.verify(metadata.get(METADATA_KEY, ""))
        check(rule, caller)
        if rule.organization_role:
            check_scope(rule, caller, request.organization_id)
        current_caller.set(caller)
        current_origin.set(_origin(caller, metadata))

    async def _refuse(self, context: Any, refusal: Refusal) -> None:
        code, message, trailing = status_of(refusal, self._domain)
        await context.abort(code, message, trailing)

    async def _fail(self, context: Any, method: str, failure: Exception) -> str:
        if isinstance(failure, grpc.aio.AbortError):
            raise failure
        if unavailable(failure):
            log.warning("%s: a neighbour is away: %s", method, type(failure).__name__)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "temporarily unavailable")
        log.error("%s failed", method, exc_info=failure)
        await context.abort(grpc.StatusCode.INTERNAL, "internal error")
        return "INTERNAL"


class _Counts:
    """The counter of one method, its labels looked up once per code."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._children: dict[str, Any] = {}

    def __call__(self, code: str) -> None:
        child = self._children.get(code)
        if child is None:
            child = self._children[code] = RPCS.labels(self._method, code)
        child.inc()


def _done(method: str, count: _Counts, seconds: Any, started: float, code: str) -> None:
    took = time.perf_counter() - started
    count(code)
    seconds.observe(took)
    if took > SLOW_SECONDS:
        log.warning("%s was slow", method, extra={"seconds": round(took, 3), "code": code})


def _origin(caller: Caller, metadata: dict[str, Any]) -> Origin:
    return Origin(
        user_id=caller.user_id,
        email=caller.email,
        api_key_prefix=caller.api_key_prefix,
        api_key_suffix=caller.api_key_suffix,
        service=caller.service,
        request_id=metadata.get("x-request-id", ""),
        source_address=metadata.get("ratoon-source-address", ""),
        user_agent=metadata.get("ratoon-user-agent", ""),
        source=metadata.get("ratoon-source", ""),
    )


def unavailable(failure: BaseException) -> bool:
    """Tell whether a failure is a database or neighbour that is away for now, which a retry may mend."""
    if isinstance(failure, grpc.aio.AioRpcError):
        return failure.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    sqlstate = getattr(failure, "sqlstate", None) or getattr(
        getattr(failure, "orig", None), "sqlstate", None
    )
    if sqlstate is not None:
        # connection exceptions, shutdown and start-up of the server, too many connections, timeouts of statement and lock
        return sqlstate[:2] == "08" or sqlstate in _AWAY
    name = type(failure).__module__ + "." + type(failure).__qualname__
    return isinstance(failure, OSError | TimeoutError) or name in _LOST


_AWAY = frozenset({"57P01", "57P02", "57P03", "53300", "57014", "55P03", "25P03", "40001", "40P01"})
# Without a state of the server's: a connection that ended under a statement confuses its driver in several ways.
_LOST = frozenset(
    {
        "asyncpg.exceptions._base.InterfaceError",
        "asyncpg.exceptions._base.InternalClientError",
        "sqlalchemy.exc.InterfaceError",
        "sqlalchemy.exc.InternalError",
        "sqlalchemy.exc.TimeoutError",
    }
)
