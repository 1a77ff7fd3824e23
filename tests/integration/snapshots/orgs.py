"""orgs as its neighbour sees it: limits that a test sets, a feed that a test writes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from chassis.errors import Kind, Refusal
from ratoon.events.v1 import event_feed_service_pb2 as feed_pb
from ratoon.events.v1 import event_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import EventFeedServiceServicer
from ratoon.orgs.v1 import organization_pb2, region_pb2
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceServicer


def limits(
    *, quota: int = 30, default_region: str = "eu", regions: tuple[pb.RegionLimits, ...] = ()
) -> pb.GetLimitsResponse:
    """Return the usual limits, with more regions if asked for."""
    eu = pb.RegionLimits(region_id="eu", type=region_pb2.REGION_TYPE_SHARED, available=True)
    return pb.GetLimitsResponse(
        limits=organization_pb2.Limits(
            max_cpu_per_sandbox=4,
            max_memory_per_sandbox=8,
            max_disk_per_sandbox=10,
            snapshot_quota=quota,
            max_snapshot_size=20,
        ),
        default_region_id=default_region,
        regions=[eu, *regions],
    )


class NotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "ORGANIZATION_NOT_FOUND"


class Away(Refusal):
    kind, reason = Kind.UNAVAILABLE, "AWAY"


class FakeOrgs(OrganizationServiceServicer, EventFeedServiceServicer):
    """Answers GetLimits and feeds events."""

    def __init__(self) -> None:
        self.answers: dict[str, pb.GetLimitsResponse] = {}
        self.asked: list[str] = []
        self.deleted: set[str] = set()
        # Nothing is said of these.
        self.away: set[str] = set()
        self._events: list[event_pb2.Event] = []
        self._news = asyncio.Condition()
        self.ungated_watchers = 0

    async def GetLimits(self, request: pb.GetLimitsRequest, context: Any) -> pb.GetLimitsResponse:
        self.asked.append(request.organization_id)
        if request.organization_id in self.deleted:
            raise NotFound("gone")
        if request.organization_id in self.away:
            raise Away("not now")
        return self.answers.get(request.organization_id, limits())

    async def say(self, event: event_pb2.Event) -> None:
        async with self._news:
            event.cursor = f"1-{len(self._events) + 1}"
            self._events.append(event)
            self._news.notify_all()

    async def Watch(
        self, request: feed_pb.WatchRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[feed_pb.WatchResponse]:
        seen = len(self._events) if request.ungated else 0
        if request.after:
            seen = int(request.after.rpartition("-")[2])
        if request.ungated:
            yield feed_pb.WatchResponse()
            async with self._news:
                self.ungated_watchers += 1
                self._news.notify_all()
        while True:
            async with self._news:
                while len(self._events) == seen:
                    await self._news.wait()
                fresh, seen = self._events[seen:], len(self._events)
            yield feed_pb.WatchResponse(events=fresh)

    async def watched(self) -> None:
        """Wait until somebody follows changes."""
        async with self._news:
            await self._news.wait_for(lambda: self.ungated_watchers > 0)
