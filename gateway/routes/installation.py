"""/config and /health: what the installation says about itself."""

from chassis.grpc.access import Rule, ServiceRefused
from gateway.access import PUBLIC, guarded, router
from gateway.call import Call
from gateway.errors import Problem
from gateway.limits.bounds import ANONYMOUS
from gateway.schemas.config import DaytonaConfiguration, Health
from gateway.schemas.errors import errors

operations = router("")
_PROBE = "health-check"
# People's credentials are known here and refused by the operation, as 403 and not as unknown.
ANYBODY = Rule(False, frozenset({"api_key", "oidc"}), "", "", "", False, False, frozenset({_PROBE}))


@operations.get(
    "/config",
    operation_id="ConfigController_getConfig",
    summary="Get what clients need to know before they log in",
    tags=["config"],
    response_model=DaytonaConfiguration,
    response_model_exclude_none=True,
    responses=errors(public=True),
)
@guarded(PUBLIC)
async def get_config(call: Call) -> DaytonaConfiguration:
    return call.visit.gateway.configuration


@operations.get(
    "/health",
    operation_id="HealthController_live",
    summary="Say that the gateway lives",
    tags=["Health"],
    response_model=Health,
    responses=errors(public=True),
)
@guarded(PUBLIC, limit=ANONYMOUS)
async def live(call: Call) -> Health:
    return Health(status="ok")


@operations.get(
    "/health/ready",
    operation_id="HealthController_check",
    summary="Say whether every service answers",
    tags=["Health"],
    response_model=Health,
    responses=errors(),
)
@guarded(ANYBODY)
async def ready(call: Call) -> Health:
    if call.caller.service != _PROBE:
        raise ServiceRefused("only the health check may ask this")
    if away := await call.services.away():
        raise Problem(503, "NOT_READY", f"away: {', '.join(away)}")
    return Health(status="ok")
