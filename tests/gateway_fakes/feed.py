"""The feed of snapshots, made up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from ratoon.events.v1 import event_feed_service_pb2 as pb
from ratoon.events.v1 import event_feed_service_pb2_grpc, event_pb2
from tests.gateway_fakes.calls import ORG, STAMP, Calls


class FakeFeed(event_feed_service_pb2_grpc.EventFeedServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()
        self.watchers: set[asyncio.Queue[Any]] = set()

    async def Watch(
        self, request: pb.WatchRequest, context: Any
    ) -> AsyncIterator[pb.WatchResponse]:
        await self.calls.heard("Watch", request, context)
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self.watchers.add(queue)
        try:
            yield pb.WatchResponse()
            while (events := await queue.get()) is not None:
                yield pb.WatchResponse(events=events)
        finally:
            self.watchers.discard(queue)
            self.calls.tell()

    def happen(self, *events: event_pb2.Event) -> None:
        for queue in self.watchers:
            queue.put_nowait(events)

    def cut(self) -> None:
        for queue in self.watchers:
            queue.put_nowait(None)


def an_event(organization_id: str = ORG, **payload: Any) -> event_pb2.Event:
    return event_pb2.Event(
        cursor=uuid4().hex, create_time=STAMP, organization_id=organization_id, **payload
    )


def seen(**more: Any) -> event_pb2.SnapshotSeen:
    known = {"image_ref": "alpine:3", "cpu": 1, "memory": 1, "disk": 3, "region_ids": ["us"]}
    return event_pb2.SnapshotSeen(**{**known, **more})


def created(id_: str, organization_id: str = ORG) -> event_pb2.Event:
    made = event_pb2.SnapshotCreated(snapshot_id=id_, name="base", state="pending", seen=seen())
    return an_event(organization_id, snapshot_created=made)


def moved(id_: str, old: str, new: str, micros: int = 0, **more: Any) -> event_pb2.Event:
    change = event_pb2.SnapshotStateChanged(
        snapshot_id=id_,
        name="base",
        old_state=old,
        new_state=new,
        seen=seen(update_micros=micros, **more),
    )
    return an_event(snapshot_state_changed=change)


def removed(id_: str, micros: int = 0) -> event_pb2.Event:
    last = seen(update_micros=micros)
    gone = event_pb2.SnapshotRemoved(snapshot_id=id_, name="base", seen=last)
    return an_event(snapshot_removed=gone)


def lent(id_: str, organization_id: str, owner_id: str, receiver_id: str) -> event_pb2.Event:
    said = event_pb2.SnapshotShared(
        snapshot_id=id_,
        name="base",
        owner_id=owner_id,
        receiver_id=receiver_id,
        rights=["read"],
        expires_at="2026-12-01T00:00:00+00:00",
    )
    return an_event(organization_id, snapshot_shared=said)


def unshared(id_: str, organization_id: str, owner_id: str, receiver_id: str) -> event_pb2.Event:
    said = event_pb2.SnapshotUnshared(
        snapshot_id=id_,
        name="base",
        owner_id=owner_id,
        receiver_id=receiver_id,
        cause="expired",
    )
    return an_event(organization_id, snapshot_unshared=said)
