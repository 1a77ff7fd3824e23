"""A snapshots service on a socket, its neighbours beside it, and the hands of a test on both."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from chassis.grpc.wire import to_timestamp
from chassis.listen import Wakeups
from chassis.sealing import KeyRing, Keys
from ratoon.auth.v1 import authentication_service_pb2
from ratoon.events.v1 import event_feed_service_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import add_EventFeedServiceServicer_to_server
from ratoon.orgs.v1 import organization_service_pb2
from ratoon.orgs.v1.organization_service_pb2_grpc import add_OrganizationServiceServicer_to_server
from ratoon.snapshots.v1 import (
    bulk_job_service_pb2,
    context_service_pb2,
    share_pb2,
    share_service_pb2,
    snapshot_admin_service_pb2,
    snapshot_pb2,
    snapshot_use_service_pb2,
    version_pb2,
    version_service_pb2,
)
from ratoon.snapshots.v1 import registry_service_pb2 as registry_pb
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from ratoon.snapshots.v1.bulk_job_service_pb2_grpc import BulkJobServiceStub
from ratoon.snapshots.v1.context_service_pb2_grpc import ContextServiceStub
from ratoon.snapshots.v1.registry_service_pb2_grpc import RegistryServiceStub
from ratoon.snapshots.v1.share_service_pb2_grpc import ShareServiceStub
from ratoon.snapshots.v1.snapshot_admin_service_pb2_grpc import SnapshotAdminServiceStub
from ratoon.snapshots.v1.snapshot_service_pb2_grpc import SnapshotServiceStub
from ratoon.snapshots.v1.snapshot_use_service_pb2_grpc import SnapshotUseServiceStub
from ratoon.snapshots.v1.version_service_pb2_grpc import VersionServiceStub
from services.snapshots.commands import blobs, pulls, removals, trimming
from services.snapshots.domain import Blob, Claim, Failure, NewArtifact
from services.snapshots.domain.uploads import Uploads
from services.snapshots.images.http import Http
from services.snapshots.peers import Organizations
from services.snapshots.registries.tokens import PushAccess
from services.snapshots.servicer.registries import RegistryTools
from services.snapshots.serving import Neighbours, Snapshots, connect_both
from services.snapshots.worker.bulk import Bulk
from tests.identities import Keyring
from tests.integration.snapshots.orgs import FakeOrgs

LEASE = timedelta(seconds=30)
PATIENCE = timedelta(hours=1)
_BESIDES = (
    bulk_job_service_pb2,
    context_service_pb2,
    registry_pb,
    share_service_pb2,
    snapshot_admin_service_pb2,
    snapshot_use_service_pb2,
    version_service_pb2,
)
DIGEST = "sha256:" + "a" * 64


@dataclass
class World:
    """What a test has in its hands."""

    stub: SnapshotServiceStub
    administration: SnapshotAdminServiceStub
    uses: SnapshotUseServiceStub
    jobs: BulkJobServiceStub
    bulk: Bulk
    shares: ShareServiceStub
    versions: VersionServiceStub
    database: Database
    orgs: FakeOrgs
    keyring: Keyring
    ring: KeyRing
    registries: RegistryServiceStub
    contexts: ContextServiceStub

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

    @property
    def administrator(self) -> tuple[tuple[str, str], ...]:
        caller = Caller(credential="oidc", user_id="admin", system_admin=True)
        return self.keyring.metadata(caller)

    async def set_general(self, id_: str, *, general: bool) -> snapshot_pb2.Snapshot:
        request = snapshot_admin_service_pb2.SetSnapshotGeneralRequest(
            snapshot_id=id_, general=general
        )
        return (
            await self.administration.SetSnapshotGeneral(request, metadata=self.administrator)
        ).snapshot

    @property
    def sandboxes(self) -> Any:
        """What the machine that starts sandboxes shows."""
        return self.keyring.identity("sandboxes").metadata()

    async def erase(self) -> int:
        async with self.database.sessions.begin() as session:
            return await removals.erase(session)

    async def erase_all(self) -> None:
        while await self.erase():
            pass

    async def trim(self, kept: int = 10) -> None:
        """Do what a worker does with old versions."""
        for some in (lambda s: trimming.trim(s, kept=kept), trimming.release_loose):
            done = 1
            while done:
                async with self.database.sessions.begin() as session:
                    done = await some(session)

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

    async def retry(self, ref: str) -> snapshot_pb2.Snapshot:
        request = pb.RetrySnapshotRequest(organization_id=self.organization, ref=_ref(ref))
        return (await self.world.stub.RetrySnapshot(request, metadata=self.metadata)).snapshot

    async def resolve(
        self, ref: str, **more: Any
    ) -> snapshot_use_service_pb2.ResolveForUseResponse:
        """Ask as the machine that starts a sandbox of the organization."""
        request = snapshot_use_service_pb2.ResolveForUseRequest(
            organization_id=self.organization, ref=ref, **more
        )
        answer: snapshot_use_service_pb2.ResolveForUseResponse
        answer = await self.world.uses.ResolveForUse(request, metadata=self.world.sandboxes)
        return answer

    async def logs(self, ref: str) -> None:
        request = pb.StreamBuildLogRequest(organization_id=self.organization, ref=_ref(ref))
        async for _ in self.world.stub.StreamBuildLog(request, metadata=self.metadata):
            pass

    async def share(
        self,
        ref: str,
        with_: "Member | str",
        *,
        use: bool = True,
        expires: datetime | None = None,
        **more: Any,
    ) -> share_pb2.Share:
        rights = [snapshot_pb2.SHARE_RIGHT_USE if use else snapshot_pb2.SHARE_RIGHT_READ]
        given: dict[str, Any] = {"rights": rights, "expire_time": to_timestamp(expires), **more}
        request = share_service_pb2.PutShareRequest(**self._share(ref, with_), **given)
        return (await self.world.shares.PutShare(request, metadata=self.metadata)).share

    async def unshare(self, ref: str, with_: "Member | str", **more: Any) -> None:
        request = share_service_pb2.DeleteShareRequest(**self._share(ref, with_), **more)
        await self.world.shares.DeleteShare(request, metadata=self.metadata)

    async def shared(self, ref: str, with_: "Member | str") -> share_pb2.Share:
        request = share_service_pb2.GetShareRequest(**self._share(ref, with_))
        return (await self.world.shares.GetShare(request, metadata=self.metadata)).share

    async def shares(self, ref: str) -> list[str]:
        """Return with whom a snapshot is shared."""
        request = share_service_pb2.ListSharesRequest(
            organization_id=self.organization, ref=_ref(ref)
        )
        answer = await self.world.shares.ListShares(request, metadata=self.metadata)
        return [share.receiver_id for share in answer.shares]

    def _share(self, ref: str, with_: "Member | str") -> dict[str, Any]:
        receiver = with_ if isinstance(with_, str) else with_.organization
        return {"organization_id": self.organization, "ref": _ref(ref), "receiver_id": receiver}

    async def set_image(self, ref: str, image: str, **more: Any) -> version_pb2.Version:
        request = version_service_pb2.SetImageRequest(
            organization_id=self.organization, ref=_ref(ref), image_ref=image, **more
        )
        return (await self.world.versions.SetImage(request, metadata=self.metadata)).version

    async def roll_back(self, ref: str, number: int) -> version_pb2.Version:
        request = version_service_pb2.RollBackRequest(
            organization_id=self.organization, ref=_ref(ref), number=number
        )
        return (await self.world.versions.RollBack(request, metadata=self.metadata)).version

    async def versions(self, ref: str) -> list[version_pb2.Version]:
        request = version_service_pb2.ListVersionsRequest(
            organization_id=self.organization, ref=_ref(ref)
        )
        answer = await self.world.versions.ListVersions(request, metadata=self.metadata)
        return list(answer.versions)

    async def states(self, ref: str) -> dict[int, str]:
        """Return where each version is, the current one with a star."""
        return {
            v.number: version_pb2.VersionState.Name(v.state).removeprefix("VERSION_STATE_").lower()
            + ("*" if v.current else "")
            for v in await self.versions(ref)
        }

    async def told(self, *types: str) -> list[tuple[str, dict[str, Any], str]]:
        """Return type, payload and acting user of what this organization was told, in order."""
        rows = await self.world.database.pool.fetch(
            "SELECT type, payload::text AS said, origin->>'user_id' AS by FROM outbox"
            " WHERE organization_id = $1 AND type = ANY($2) ORDER BY id",
            self.organization,
            types,
        )
        return [(row["type"], json.loads(row["said"]), row["by"]) for row in rows]

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

    async def audited(self) -> list[tuple[str, str, str]]:
        """Return action, target and who did it of everything that only the audit log hears of."""
        rows = await self.world.database.pool.fetch(
            "SELECT payload->>'action', payload->>'target_id', origin->>'user_id' || (origin->>'service') FROM outbox"
            " WHERE organization_id = $1 AND type = 'audited' ORDER BY id",
            self.organization,
        )
        return [(row[0], row[1], row[2]) for row in rows]


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
    url: str,
    keyring: Keyring,
    folder: Path,
    *insecure: str,
    access: PushAccess | None = None,
    uploads: Uploads | None = None,
    no_builder: str = "nobody does",
) -> AsyncIterator[World]:
    """Serve snapshots over the database, beside a fake orgs; these hosts are spoken to without TLS; `no_builder`: why nothing is built."""
    keys = folder / "keys" / "keys.json"
    keys.parent.mkdir()
    keys.write_text(Keys("", {}).renewed().dump())
    ring = KeyRing(keys)
    orgs = FakeOrgs()  # type: ignore[abstract]  # it plays only the part that a neighbour sees
    neighbour = Server("orgs", Verifier(keyring.trust()))
    neighbour.add(organization_service_pb2, add_OrganizationServiceServicer_to_server, orgs)
    neighbour.add(event_feed_service_pb2, add_EventFeedServiceServicer_to_server, orgs)
    beside = await neighbour.start(f"unix:{folder}/o")
    databases = await connect_both(url)
    database = databases.usual
    target = f"unix:{folder}/s"
    async with (
        Http(insecure_hosts=frozenset(insecure)) as http,
        channel(f"unix:{folder}/a", authentication_service_pb2) as to_auth,
        channel(f"unix:{folder}/o", organization_service_pb2, event_feed_service_pb2) as to_orgs,
        channel(target, pb, *_BESIDES) as opened,
    ):
        identity = keyring.identity("snapshots")
        snapshots = Snapshots(
            databases,
            Neighbours(to_auth, to_orgs, identity, keyring.trust()),
            RegistryTools(KeyRing(keys), http, access),
            uploads=uploads,
            no_builder=no_builder,
        )
        background = asyncio.create_task(snapshots.run())
        serving = await snapshots.server().start(target)
        await orgs.watched()
        yield World(
            SnapshotServiceStub(opened),
            SnapshotAdminServiceStub(opened),
            SnapshotUseServiceStub(opened),
            BulkJobServiceStub(opened),
            Bulk(
                database.sessions,
                Wakeups(url, "bulk under test"),
                Organizations(to_orgs, identity),
                no_builder,
            ),
            ShareServiceStub(opened),
            VersionServiceStub(opened),
            database,
            orgs,
            keyring,
            ring,
            RegistryServiceStub(opened),
            ContextServiceStub(opened),
        )
        await serving.stop(None)
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)
        await beside.stop(None)
    await databases.close()
