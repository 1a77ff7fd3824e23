"""The door: what a handler raises, and what the caller is told of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import grpc
import pytest

from chassis.errors import Kind, Refusal
from chassis.grpc.caller import Caller, Verifier
from chassis.grpc.client import channel
from chassis.grpc.interceptors import current_caller
from chassis.grpc.server import Server
from chassis.grpc.status import error_info
from chassis.origin import current_origin
from ratoon.snapshots.v1 import snapshot_pb2
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_service_pb2_grpc import (
    SnapshotServiceServicer,
    SnapshotServiceStub,
    add_SnapshotServiceServicer_to_server,
)
from tests.identities import Keyring

ORGANIZATION = "0c2a1de0-0000-4000-8000-000000000001"
MEMBER = Caller(
    credential="api_key",
    user_id="u",
    organization_id=ORGANIZATION,
    organization_role="member",
    permissions=frozenset({"write:snapshots"}),
    api_key_prefix="dtn",
)


class Taken(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "SNAPSHOT_NAME_TAKEN"


class Servicer(SnapshotServiceServicer):
    """Does what the name of the snapshot says."""

    def __init__(self) -> None:
        self.calls = 0

    async def GetSnapshot(
        self, request: pb.GetSnapshotRequest, context: object
    ) -> pb.GetSnapshotResponse:
        self.calls += 1
        match request.ref.text:
            case "refuse":
                raise Taken("ä name is taken", name="x")
            case "fail":
                raise ValueError("secret detail")
            case "away":
                raise asyncpg.CannotConnectNowError("starting up")
            case "twice" if self.calls < 3:
                raise OSError("connection refused")
        seen = f"{current_caller.get().user_id} {current_origin.get().request_id}"
        return pb.GetSnapshotResponse(snapshot=snapshot_pb2.Snapshot(name=seen))

    async def CreateSnapshot(
        self, request: pb.CreateSnapshotRequest, context: object
    ) -> pb.CreateSnapshotResponse:
        self.calls += 1
        raise OSError("connection refused")

    async def StreamBuildLog(
        self, request: pb.StreamBuildLogRequest, context: object
    ) -> AsyncIterator[pb.StreamBuildLogResponse]:
        yield pb.StreamBuildLogResponse(data=b"one")
        raise Taken("in mid-stream")


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()  # type: ignore[abstract]  # what it leaves out answers UNIMPLEMENTED


@pytest.fixture
async def stub(
    servicer: Servicer, keyring: Keyring, tmp_path: Path
) -> AsyncIterator[SnapshotServiceStub]:
    server = Server("snapshots", Verifier(keyring.trust()))
    server.add(pb, add_SnapshotServiceServicer_to_server, servicer)
    running = await server.start(f"unix:{tmp_path}/s")
    async with channel(f"unix:{tmp_path}/s", pb) as opened:
        yield SnapshotServiceStub(opened)
    await running.stop(None)


def _get(text: str, organization: str = ORGANIZATION) -> pb.GetSnapshotRequest:
    return pb.GetSnapshotRequest(organization_id=organization, ref=pb.SnapshotRef(text=text))


async def test_a_handler_knows_its_caller_and_the_request(
    stub: SnapshotServiceStub, keyring: Keyring
) -> None:
    metadata = (*keyring.metadata(MEMBER), ("x-request-id", "r-7"))
    answer = await stub.GetSnapshot(_get("x"), metadata=metadata)
    assert answer.snapshot.name == "u r-7"


async def test_a_refusal_arrives_whole(stub: SnapshotServiceStub, keyring: Keyring) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetSnapshot(_get("refuse"), metadata=keyring.metadata(MEMBER))
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert refused.value.details() == "ä name is taken"
    info = error_info(refused.value)
    assert (info.reason, info.domain, info.metadata) == (
        "SNAPSHOT_NAME_TAKEN",
        "snapshots.ratoon",
        {"name": "x"},
    )


async def test_a_failure_tells_nothing(stub: SnapshotServiceStub, keyring: Keyring) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.GetSnapshot(_get("fail"), metadata=keyring.metadata(MEMBER))
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert failed.value.details() == "internal error"


async def test_a_database_that_is_away_is_unavailable(
    stub: SnapshotServiceStub, servicer: Servicer, keyring: Keyring
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.GetSnapshot(_get("away"), metadata=keyring.metadata(MEMBER))
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert servicer.calls == 4


async def test_reads_are_tried_again_and_writes_are_not(
    stub: SnapshotServiceStub, servicer: Servicer, keyring: Keyring
) -> None:
    metadata = keyring.metadata(MEMBER)
    await stub.GetSnapshot(_get("twice"), metadata=metadata)
    assert servicer.calls == 3
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.CreateSnapshot(
            pb.CreateSnapshotRequest(organization_id=ORGANIZATION), metadata=metadata
        )
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert servicer.calls == 4


async def test_a_stream_may_end_in_a_refusal(stub: SnapshotServiceStub, keyring: Keyring) -> None:
    request = pb.StreamBuildLogRequest(organization_id=ORGANIZATION)
    stream = stub.StreamBuildLog(request, metadata=keyring.metadata(MEMBER))
    first = await stream.read()
    assert isinstance(first, pb.StreamBuildLogResponse)
    assert first.data == b"one"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stream.read()
    assert error_info(refused.value).reason == "SNAPSHOT_NAME_TAKEN"


@pytest.mark.parametrize(
    ("caller", "request_", "reason"),
    [
        (MEMBER, pb.DeleteSnapshotRequest(organization_id=ORGANIZATION), "PERMISSION_MISSING"),
        (MEMBER, pb.DeleteSnapshotRequest(organization_id="another"), "PERMISSION_MISSING"),
        (Caller(credential="oidc"), pb.DeleteSnapshotRequest(), "ORGANIZATION_REQUIRED"),
        (
            Caller(credential="service", service="health-check"),
            pb.DeleteSnapshotRequest(),
            "ORGANIZATION_REQUIRED",
        ),
    ],
)
async def test_who_may_not_come_in(
    stub: SnapshotServiceStub,
    keyring: Keyring,
    caller: Caller,
    request_: pb.DeleteSnapshotRequest,
    reason: str,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.DeleteSnapshot(request_, metadata=keyring.metadata(caller))
    assert error_info(refused.value).reason == reason


async def test_a_request_for_another_organization_is_refused(
    stub: SnapshotServiceStub, keyring: Keyring
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetSnapshot(_get("x", organization="another"), metadata=keyring.metadata(MEMBER))
    assert error_info(refused.value).reason == "ORGANIZATION_FORBIDDEN"
