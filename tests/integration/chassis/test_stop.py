"""A server that is told to stop stops at once, streams or not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from chassis.grpc.caller import Verifier
from chassis.grpc.client import channel
from chassis.grpc.server import Server
from ratoon.auth.v1 import authentication_service_pb2 as pb
from ratoon.auth.v1.authentication_service_pb2_grpc import (
    AuthenticationServiceServicer,
    AuthenticationServiceStub,
    add_AuthenticationServiceServicer_to_server,
)
from tests.identities import Keyring


class _Endless(AuthenticationServiceServicer):
    """Streams that never end, and a call that ends when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.entered = asyncio.Event()
        self.left = 0

    async def WatchRevocations(
        self, request: pb.WatchRevocationsRequest, context: Any
    ) -> AsyncIterator[pb.WatchRevocationsResponse]:
        try:
            yield pb.WatchRevocationsResponse()
            await asyncio.Event().wait()
        finally:
            self.left += 1

    async def ReportApiKeyUse(
        self, request: pb.ReportApiKeyUseRequest, context: Any
    ) -> pb.ReportApiKeyUseResponse:
        self.entered.set()
        await self.let.wait()
        return pb.ReportApiKeyUseResponse()


async def test_streams_end_and_calls_are_finished(keyring: Keyring, tmp_path: Path) -> None:
    servicer, stop = _Endless(), asyncio.Event()  # type: ignore[abstract]  # plays two of the methods
    server = Server("auth", Verifier(keyring.trust()))
    server.add(pb, add_AuthenticationServiceServicer_to_server, servicer)
    target, me = f"unix:{tmp_path}/s", keyring.identity("gateway").metadata()
    serving = asyncio.create_task(server.serve(target, stop))
    async with channel(target, pb) as opened:
        stub = AuthenticationServiceStub(opened)
        await asyncio.wait_for(opened.channel_ready(), 10)
        streams = [
            stub.WatchRevocations(pb.WatchRevocationsRequest(), metadata=me) for _ in range(3)
        ]
        for stream in streams:
            assert await stream.read() == pb.WatchRevocationsResponse()
        call = asyncio.ensure_future(stub.ReportApiKeyUse(pb.ReportApiKeyUseRequest(), metadata=me))
        await asyncio.wait_for(servicer.entered.wait(), 5)
        stop.set()
        for stream in streams:
            with pytest.raises(grpc.aio.AioRpcError) as cut:
                await asyncio.wait_for(stream.read(), 5)
            assert cut.value.code() is grpc.StatusCode.UNAVAILABLE
        assert servicer.left == 3
        assert not serving.done()
        servicer.let.set()
        assert await call == pb.ReportApiKeyUseResponse()
        await asyncio.wait_for(serving, 5)
