"""Access before everything: each operation states whose rule guards it, and is guarded before its body is read."""

import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, TypeVar

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from chassis.grpc.access import CredentialMissing, OrganizationForbidden, Rule, check, rules
from gateway.auth import Established, Presented
from gateway.call import Call
from gateway.clients import AUTH, ORGS, SNAPSHOTS
from gateway.errors import Problem, answer, problem_of
from gateway.paths import PREFIX
from gateway.visit import SCOPE_KEY, Visit

log = logging.getLogger(__name__)
RULES = rules((*AUTH, *ORGS, *SNAPSHOTS))
PUBLIC = Rule(True, frozenset(), "", "", "", False, False, frozenset())
# Whoever may list snapshots may hear of them.
LISTENS = RULES["/ratoon.snapshots.v1.SnapshotService/ListSnapshots"]
_ATTRIBUTE = "__access_rule__"
_LIMIT_ATTRIBUTE = "__limit__"
_CREDENTIAL_LIMIT = 16_384
# Longer texts are no ids; what is left of them is refused by auth as any unknown id is.
_HINT_LIMIT = 64
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def guarded(rule: Rule | str, limit: str = "") -> Callable[[_Handler], _Handler]:
    """Guard an operation by a rule; a text names the RPC behind it (`context.Service/Method`), whose rule it is.

    `limit` names a kind of limit that counts the operation besides what counts all.
    """
    if isinstance(rule, str):
        context, _, rest = rule.partition(".")
        rule = RULES[f"/ratoon.{context}.v1.{rest}"]

    def mark(handler: _Handler) -> _Handler:
        setattr(handler, _ATTRIBUTE, rule)
        setattr(handler, _LIMIT_ATTRIBUTE, limit)
        return handler

    return mark


def router(path: str, *tags: str | Enum) -> APIRouter:
    """Return a router of guarded operations; a body that does not say its type is taken as JSON."""
    return APIRouter(
        prefix=PREFIX + path, tags=list(tags), route_class=AccessRoute, strict_content_type=False
    )


def rule_of(endpoint: Callable[..., Any]) -> Rule:
    """Return the rule of an operation; without one it cannot be served at all."""
    found = getattr(endpoint, _ATTRIBUTE, None)
    if not isinstance(found, Rule):
        raise TypeError(f"{endpoint.__qualname__} does not say who may call it")
    return found


class AccessRoute(APIRoute):
    """A route that lets in by rule, then reads the body, then acts; and turns every failure into its answer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        # A body that does not say what it is is taken for JSON, as published.
        super().__init__(*args, **{**options, "strict_content_type": False})

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # the base says Coroutine, which FastAPI awaits alike
        act = super().get_route_handler()
        rule, operation = rule_of(self.endpoint), self.operation_id or self.name
        has_body = self.body_field is not None
        limit: str = getattr(self.endpoint, _LIMIT_ATTRIBUTE)

        async def handle(request: Request) -> Response:
            visit: Visit = request.scope[SCOPE_KEY]
            visit.operation = operation
            call = Call(request.scope, request.receive)
            try:
                if not rule.public:
                    await _admit(call, rule, limit)
                elif limit:
                    visit.gateway.limits.anonymous(visit)
                if has_body:
                    await call.load()
                visit.watch(request.receive)
                return await act(call)
            except Exception as failure:  # noqa: BLE001 - the last line: each failure becomes one answer
                return await _refused(visit, request.scope, failure)
            finally:
                visit.unwatch()

        return handle


def failed(visit: Visit, scope: Any, failure: Exception) -> Response:
    """Return the answer to a failure; log it if nobody foresaw it."""
    problem = problem_of(failure)
    if problem.status == 500:
        extra = {"requestId": visit.request_id, "operation": visit.operation}
        log.error("a request failed", exc_info=failure, extra=extra)
    refuse(visit, problem, scope.get("path_params") or {})
    return answer(problem, scope)


def refuse(visit: Visit, problem: Problem, path: dict[str, Any] | None = None) -> None:
    """Remember a refusal for the audit log, if it belongs there."""
    visit.gateway.refusals.note(visit, problem, path or {})


async def _refused(visit: Visit, scope: Any, failure: Exception) -> Response:
    """Return the answer to a failure; an unknown credential is counted, and at some point answered otherwise."""
    if isinstance(failure, CredentialMissing):
        failure = await visit.gateway.limits.failed(visit) or failure
    return failed(visit, scope, failure)


async def confirm(call: Call) -> None:
    """See whether a call that was let in would be let in now. Refused as it would be."""
    assert call.presented is not None
    assert call.rule is not None
    established = await _established(call, call.rule, call.presented)
    check(call.rule, established.caller)
    call.established = established


async def _admit(call: Call, rule: Rule, limit: str) -> None:
    visit, gateway = call.visit, call.visit.gateway
    call.rule = rule
    call.presented = _presented(call, visit, bool(rule.organization_role))
    established = await _established(call, rule, call.presented)
    caller = visit.caller = established.caller
    check(rule, caller)
    call.established = established
    visit.organization_id = caller.organization_id
    gateway.lists.seen(caller.organization_id or caller.user_id)
    if caller.api_key_id:
        gateway.uses.note(caller.api_key_id)
    if (gateway.limits.counts_requests or established.own_limits) and established.subject:
        await gateway.limits.count(visit, established.subject, established.own_limits, limit)


async def _established(call: Call, rule: Rule, presented: Presented) -> Established:
    """Return who calls; an administrator of the installation may act where no member of the organization is needed."""
    authenticator = call.visit.gateway.authenticator
    try:
        return await authenticator.establish(presented, call.origin)
    except OrganizationForbidden:
        call.visit.stranger = Presented(presented.credential, "", "")
        if not rule.or_system_admin:
            raise
        call.presented = call.visit.stranger
        established = await authenticator.establish(call.presented, call.origin)
        if not established.caller.system_admin:
            raise
        call.visit.stranger = None
        return established


def _presented(call: Call, visit: Visit, scoped: bool) -> Presented:
    """Return what the request shows; the organizations it names only where the operation acts in one."""
    credential = _credential(call, visit)
    if not scoped:
        return Presented(credential, "", "")
    path: str = call.path_params.get("organizationId", "")
    header = visit.incoming.get(b"x-daytona-organization-id", b"").decode("latin-1").strip()
    return Presented(credential, path[:_HINT_LIMIT], header[:_HINT_LIMIT])


def _credential(call: Call, visit: Visit) -> str:
    """Return the bearer token; it is taken from the header alone, and from one header only."""
    sent = visit.incoming.get(b"authorization", b"")
    scheme, _, token = sent.partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or len(token) > _CREDENTIAL_LIMIT:
        raise CredentialMissing("a valid credential is required")
    names = [name for name, _ in call.scope["headers"] if name == b"authorization"]
    if len(names) > 1:
        raise CredentialMissing("a valid credential is required")
    return token.decode("latin-1")
