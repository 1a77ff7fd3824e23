"""orgs, as this context sees it: what an organization may use, cached until orgs says that it changed."""

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.grpc.caller import Identity
from chassis.grpc.status import error_info
from ratoon.events.v1 import event_feed_service_pb2 as feed_pb
from ratoon.events.v1.event_feed_service_pb2_grpc import EventFeedServiceStub
from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1 import region_pb2
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceStub
from services.snapshots.domain import Limits, Maxima, OrganizationGone, Region, Suspension

log = logging.getLogger(__name__)
# However well the pushes work, nothing older than this is believed.
_BELIEVED_SECONDS = 30.0
_REMEMBERED = 10_000
# The contracts that a channel to orgs is for.
SERVICES = (pb, feed_pb)
_DROPPED_BY = ("organization_changed", "organization_deleted")


@dataclass(slots=True)
class _Entry:
    asked: float
    answer: "asyncio.Task[Limits]"


class Organizations:
    """Limits of organizations; each is asked for once, however many wait for it."""

    def __init__(self, channel: grpc.aio.Channel, identity: Identity) -> None:
        self._stub = OrganizationServiceStub(channel)
        self._feed = EventFeedServiceStub(channel)
        self._identity = identity
        self._known: dict[str, _Entry] = {}

    async def limits_of(self, organization_id: str) -> Limits:
        """Return the limits as of at most 30 s ago. Refused with ORGANIZATION_FORBIDDEN when it is gone.

        What is made under them compares their revision with the one that is known by then: see `commands.create`.
        """
        entry = self._known.get(organization_id)
        if entry is None or time.monotonic() - entry.asked > _BELIEVED_SECONDS:
            entry = self._ask(organization_id)
        elif entry.answer.done():
            return entry.answer.result()
        # Shielded: who asked first may go away while others wait for the same answer.
        return await asyncio.shield(entry.answer)

    async def fresh_limits_of(self, organization_id: str) -> Limits:
        """Return the limits as of now, and do not believe older ones any more."""
        self.drop(organization_id)
        return await self.limits_of(organization_id)

    def drop(self, organization_id: str) -> None:
        """Forget one organization; an answer that is on its way is not kept either."""
        self._known.pop(organization_id, None)

    async def follow(self) -> None:
        """Drop what orgs says has changed, for ever."""
        while True:
            try:
                await self._watch()
            except grpc.aio.AioRpcError as cut:
                log.info("feed of orgs cut: %s (%s)", cut.code().name, cut.details())
            await asyncio.sleep(random.uniform(0.05, 0.25))

    async def _watch(self) -> None:
        request = feed_pb.WatchRequest(ungated=True, types=_DROPPED_BY)
        first = True
        async for answer in self._feed.Watch(request, metadata=self._identity.metadata()):
            if first:
                # What happened before the stream stood is not told.
                self._known.clear()
                first = False
            for event in answer.events:
                self.drop(event.organization_id)

    def _ask(self, organization_id: str) -> _Entry:
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        task = asyncio.create_task(self._fetch(organization_id))
        entry = self._known[organization_id] = _Entry(time.monotonic(), task)
        task.add_done_callback(lambda done: self._settle(organization_id, entry, done))
        return entry

    def _settle(self, organization_id: str, entry: _Entry, done: "asyncio.Task[Limits]") -> None:
        failed = done.cancelled() or done.exception() is not None
        if failed and self._known.get(organization_id) is entry:
            del self._known[organization_id]

    async def _fetch(self, organization_id: str) -> Limits:
        request = pb.GetLimitsRequest(organization_id=organization_id)
        try:
            answer = await self._stub.GetLimits(request, metadata=self._identity.metadata())
        except grpc.aio.AioRpcError as refused:
            if error_info(refused).reason == "ORGANIZATION_NOT_FOUND":
                raise OrganizationGone("the organization is deleted") from refused
            raise
        return _limits_from_proto(organization_id, answer)


def _limits_from_proto(organization_id: str, answer: pb.GetLimitsResponse) -> Limits:
    limits = answer.limits
    return Limits(
        organization_id=organization_id,
        revision=answer.revision,
        snapshot_quota=limits.snapshot_quota,
        max_snapshot_size=limits.max_snapshot_size,
        maxima=_maxima(limits),
        default_region_id=answer.default_region_id,
        regions={r.region_id: _region(r) for r in answer.regions},
        suspension=_suspension(answer) if answer.HasField("suspension") else None,
        idle_minutes=limits.snapshot_deactivation_timeout_minutes,
        auto_activation=answer.snapshot_auto_activation,
    )


def _suspension(answer: pb.GetLimitsResponse) -> Suspension:
    said, grace = answer.suspension, answer.limits.suspension_cleanup_grace_period_hours
    return Suspension(
        reason=said.reason,
        until=_seconds(said.until_time) if said.HasField("until_time") else None,
        cleanup=_seconds(said.time) + grace * 3600.0,
    )


def _seconds(moment: Timestamp) -> float:
    return moment.seconds + moment.nanos / 1e9


def _region(region: pb.RegionLimits) -> Region:
    def own(field: str) -> int | None:
        return getattr(region, field) if region.HasField(field) else None  # type: ignore[arg-type]  # one of three names

    return Region(
        available=region.available,
        shared=region.type == region_pb2.REGION_TYPE_SHARED,
        maxima=Maxima(
            own("max_cpu_per_sandbox"), own("max_memory_per_sandbox"), own("max_disk_per_sandbox")
        ),
    )


def _maxima(limits: Any) -> Maxima:
    return Maxima(
        limits.max_cpu_per_sandbox, limits.max_memory_per_sandbox, limits.max_disk_per_sandbox
    )
