"""A snapshots service on a socket, its neighbours beside it, and the hands of a test on both."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from chassis.db import Database
from chassis.grpc.caller import Caller, Verifier
from chassis.grpc.client import channel
from chassis.grpc.server import Server
from chassis.grpc.status import error_info
from ratoon.auth.v1 import authentication_service_pb2
from ratoon.events.v1 import event_feed_service_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import add_EventFeedServiceServicer_to_server
from ratoon.orgs.v1 import organization_service_pb2
from ratoon.orgs.v1.organization_service_pb2_grpc import add_OrganizationServiceServicer_to_server
from ratoon.snapshots.v1 import snapshot_pb2
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_service_pb2_grpc import SnapshotServiceStub
from services.snapshots.__main__ import Snapshots, connect_heavy, connect_hot
from services.snapshots.commands import blobs, pulls, removals
from services.snapshots.domain import Blob, Claim, Failure, NewArtifact
from tests.identities import Keyring
from tests.integration.snapshots.orgs import FakeOrgs

LEASE = timedelta(seconds=30)
PATIENCE = timedelta(hours=1)
DIGEST = "sha256:" + "a" * 64


@dataclass
class World:
    """What a test has in its hands."""

    stub: SnapshotServiceStub
    database: Database
    orgs: FakeOrgs
    keyring: Keyring

    def member(self) -> "Member":
        return Member(self, str(uuid4()))

    async def claim(self, worker: str = "w", *, builds: bool = False) -> Claim | None:
        async with self.database.sessions.begin() as session:
            return await pulls.claim_pull(
                session, worker, lease=LEASE, patience=PATIENCE, share=1000, builds=builds
            )

    async def finish(
        self, claim: Claim, digest: str = DIGEST, entrypoint: Sequence[str] = (), **more: Any
    ) -> bool:
        """Do what a worker does: reserve, place, record."""
        mine = (Blob(digest, 100), Blob(digest[:-1] + "0", 23))
        sizes = {blob.digest: blob.size for blob in mine}
        async with self.database.sessions.begin() as session:
            wanted = await blobs.pin(session, claim, mine, capacity=10**12)
        for each in wanted or ():
            async with self.database.sessions.begin() as session:
                await blobs.place(session, claim, Blob(each, sizes[each]))
        made = NewArtifact(
            "docker.io/library/alpine", digest, 123, list(entrypoint) or None, {}, mine, **more
        )
        async with self.database.sessions.begin() as session:
            return await pulls.finish_pull(session, claim, made)

    async def fail(self, claim: Claim, code: str = "IMAGE_NOT_FOUND") -> bool:
        async with self.database.sessions.begin() as session:
            return await pulls.fail_pull(session, claim, Failure(code, "cause", "remedy"))

    async def erase(self) -> int:
        async with self.database.sessions.begin() as session:
            return await removals.erase(session)

    async def erase_all(self) -> None:
        while await self.erase():
            pass

    async def work(self, digest: str = DIGEST) -> None:
        """Finish everything that is due."""
        while (claim := await self.claim()) is not None:
            await self.finish(claim, digest)


@dataclass
class Member:
    """Somebody who may do everything with the snapshots of one organization."""

    world: World
    organization: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        caller = Caller(
            credential="oidc",
            user_id="user-" + self.organization,
            organization_id=self.organization,
            organization_role="member",
            permissions=frozenset({"write:snapshots", "delete:snapshots"}),
        )
        return self.world.keyring.metadata(caller)

    async def create(
        self, name: str = "base", image: str = "alpine:3.20", **more: Any
    ) -> snapshot_pb2.Snapshot:
        request = pb.CreateSnapshotRequest(
            organization_id=self.organization, name=name, image_ref=image, **more
        )
        return (await self.world.stub.CreateSnapshot(request, metadata=self.metadata)).snapshot

    async def active(self, name: str = "base", **more: Any) -> snapshot_pb2.Snapshot:
        await self.create(name, **more)
        await self.world.work()
        return await self.get(name)

    async def get(self, ref: str) -> snapshot_pb2.Snapshot:
        request = pb.GetSnapshotRequest(organization_id=self.organization, ref=_ref(ref))
        return (await self.world.stub.GetSnapshot(request, metadata=self.metadata)).snapshot

    async def page(self, **wanted: Any) -> pb.ListSnapshotsResponse:
        request = pb.ListSnapshotsRequest(
            organization_id=self.organization, **{"page_size": 100, **wanted}
        )
        answer: pb.ListSnapshotsResponse = await self.world.stub.ListSnapshots(
            request, metadata=self.metadata
        )
        return answer

    async def delete(self, ref: str) -> None:
        request = pb.DeleteSnapshotRequest(organization_id=self.organization, ref=_ref(ref))
        await self.world.stub.DeleteSnapshot(request, metadata=self.metadata)

    async def activate(self, ref: str) -> snapshot_pb2.Snapshot:
        request = pb.ActivateSnapshotRequest(organization_id=self.organization, ref=_ref(ref))
        return (await self.world.stub.ActivateSnapshot(request, metadata=self.metadata)).snapshot

    async def deactivate(self, ref: str) -> None:
        request = pb.DeactivateSnapshotRequest(organization_id=self.organization, ref=_ref(ref))
        await self.world.stub.DeactivateSnapshot(request, metadata=self.metadata)

    async def logs(self, ref: str) -> None:
        request = pb.StreamBuildLogRequest(organization_id=self.organization, ref=_ref(ref))
        async for _ in self.world.stub.StreamBuildLog(request, metadata=self.metadata):
            pass

    async def usage(self) -> tuple[int, int]:
        row = await self.world.database.pool.fetchrow(
            "SELECT used, total FROM usage WHERE organization_id = $1", UUID(self.organization)
        )
        return (0, 0) if row is None else (row[0], row[1])

    async def events(self) -> list[tuple[str, str]]:
        """Return type and state (the new one) of everything that happened, in order."""
        rows = await self.world.database.pool.fetch(
            "SELECT type, coalesce(payload->>'new_state', payload->>'state', '') AS state FROM outbox"
            " WHERE organization_id = $1 ORDER BY id",
            self.organization,
        )
        return [(row["type"], row["state"]) for row in rows]


def _ref(text: str) -> pb.SnapshotRef:
    return pb.SnapshotRef(text=text)


@asynccontextmanager
async def refused(reason: str, code: grpc.StatusCode | None = None) -> AsyncIterator[None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert error_info(caught.value).reason == reason, caught.value.details()
    if code is not None:
        assert caught.value.code() is code


@asynccontextmanager
async def a_world(
    url: str, keyring: Keyring, folder: Path, *, no_builder: str = "nobody does"
) -> AsyncIterator[World]:
    """Serve snapshots over the database, beside a fake orgs; `no_builder`: why nothing is built."""
    orgs = FakeOrgs()  # type: ignore[abstract]  # it plays only the part that a neighbour sees
    neighbour = Server("orgs", Verifier(keyring.trust()))
    neighbour.add(organization_service_pb2, add_OrganizationServiceServicer_to_server, orgs)
    neighbour.add(event_feed_service_pb2, add_EventFeedServiceServicer_to_server, orgs)
    beside = await neighbour.start(f"unix:{folder}/o")
    database, heavy = await connect_hot(url), await connect_heavy(url)
    target = f"unix:{folder}/s"
    async with (
        channel(f"unix:{folder}/a", authentication_service_pb2) as to_auth,
        channel(f"unix:{folder}/o", organization_service_pb2, event_feed_service_pb2) as to_orgs,
        channel(target, pb) as opened,
    ):
        snapshots = Snapshots(
            database,
            heavy,
            url,
            to_auth,
            to_orgs,
            keyring.identity("snapshots"),
            keyring.trust(),
            no_builder,
        )
        background = asyncio.create_task(snapshots.run())
        serving = await snapshots.server().start(target)
        await orgs.watched()
        yield World(SnapshotServiceStub(opened), database, orgs, keyring)
        await serving.stop(None)
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)
        await beside.stop(None)
    await heavy.close()
    await database.close()
