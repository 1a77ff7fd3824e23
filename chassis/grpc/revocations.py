"""Auth's push of revocations, as gateway and services follow it."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Protocol

import grpc

from chassis.grpc.caller import Identity
from ratoon.auth.v1 import authentication_service_pb2 as pb
from ratoon.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub

log = logging.getLogger(__name__)


class Revoke(Protocol):
    """What to do with a revocation: drop what matches all that is not empty and was established up to `at`."""

    def __call__(self, at: float, api_key_id: str, user_id: str, organization_id: str) -> None: ...


async def follow(
    channel: grpc.aio.Channel,
    identity: Identity,
    revoke: Revoke,
    stand: Callable[[], None],
    deleted: Callable[[str], None] = lambda _: None,
) -> None:
    """Hand every revocation to `revoke`, for ever; before that an organization that was deleted to `deleted`.

    `stand` is called whenever the stream begins anew: what was revoked in between is not known, so what was cached
    before must be dropped.
    """
    stub = AuthenticationServiceStub(channel)
    while True:
        try:
            stream = stub.WatchRevocations(
                pb.WatchRevocationsRequest(), metadata=identity.metadata()
            )
            first = True
            async for answer in stream:
                if first:
                    stand()
                    first = False
                for r in answer.revocations:
                    if r.organization_deleted:
                        deleted(r.organization_id)
                    at = r.time.seconds + r.time.nanos / 1e9
                    revoke(at, r.api_key_id, r.user_id, r.organization_id)
        except grpc.aio.AioRpcError as cut:
            log.info("revocation stream cut: %s (%s)", cut.code().name, cut.details())
        await asyncio.sleep(random.uniform(0.05, 0.25))
