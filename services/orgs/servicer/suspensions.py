"""OrganizationService over gRPC: suspensions; and what ends them when nobody asks."""

import logging
from typing import Any

from grpc.aio import ServicerContext

from chassis.db import Sessions
from chassis.grpc.feed import wait
from chassis.grpc.interceptors import unavailable
from chassis.grpc.wire import from_timestamp
from chassis.listen import Wakeups
from chassis.process import unless_cancelled
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceServicer
from services.orgs.commands import suspensions
from services.orgs.domain import storable, uuid_of
from services.orgs.domain.suspensions import SuspensionInvalid

log = logging.getLogger(__name__)
Context = ServicerContext[Any, Any]
_SHORTEST_SECONDS, _LONGEST_SECONDS, _AWAY_SECONDS = 0.01, 3600.0, 1.0


class SuspensionServicer(OrganizationServiceServicer):
    """The part of OrganizationService that deals with suspensions."""

    _sessions: Sessions

    async def SuspendOrganization(
        self, request: pb.SuspendOrganizationRequest, context: Context
    ) -> pb.SuspendOrganizationResponse:
        asked = _suspension(request)
        async with self._sessions.begin() as session:
            await suspensions.suspend(session, uuid_of(request.organization_id), **asked)
        return pb.SuspendOrganizationResponse()

    async def UnsuspendOrganization(
        self, request: pb.UnsuspendOrganizationRequest, context: Context
    ) -> pb.UnsuspendOrganizationResponse:
        async with self._sessions.begin() as session:
            await suspensions.unsuspend(session, uuid_of(request.organization_id))
        return pb.UnsuspendOrganizationResponse()


def _suspension(request: pb.SuspendOrganizationRequest) -> dict[str, Any]:
    if not storable(request.reason):
        raise SuspensionInvalid("the reason holds a character that cannot be kept")
    until = None
    if request.HasField("until_time"):
        try:
            until = from_timestamp(request.until_time)
        except (ValueError, OverflowError):
            raise SuspensionInvalid("the end of the suspension is no date") from None
    told = request.HasField("cleanup_grace_period_hours")
    hours = request.cleanup_grace_period_hours if told else None
    return {"reason": request.reason, "until": until, "grace_hours": hours}


async def end_suspensions(sessions: Sessions, wakeups: Wakeups) -> None:
    """Lift each suspension at its end, for ever; asleep in between until the next end or a new suspension."""
    with wakeups.on(suspensions.SUSPENSIONS) as woken:
        while True:
            woken.clear()
            await wait(woken, await _seconds_to_next(sessions))


async def _seconds_to_next(sessions: Sessions) -> float:
    try:
        async with sessions.begin() as session:
            seconds = await suspensions.end_past(session)
    except Exception as failure:
        unless_cancelled()
        if not unavailable(failure):
            raise
        log.warning("suspensions cannot be ended now: %s", type(failure).__name__)
        return _AWAY_SECONDS
    if seconds is None:
        return _LONGEST_SECONDS
    return min(max(seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS)
