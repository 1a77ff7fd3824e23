"""Creates a second in one organization, 16 callers straight at the service."""

import asyncio
import time
from statistics import median
from uuid import uuid4

from bench import usage
from bench.system import System, running
from bench.table import Figure
from bench.yardstick import slowness
from chassis.grpc.caller import Caller, Identity
from chassis.grpc.client import channel
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_service_pb2_grpc import SnapshotServiceStub

_CALLERS = 16


def measure(runs: int = 3, seconds: float = 5.0) -> list[Figure]:
    with running(SNAPSHOTS_INSECURE_REGISTRIES="127.0.0.1:9") as system:
        organization = system.organization("creates")
        rates, scaled = [], []
        for _ in range(runs + 1):
            slow = slowness()
            rate = asyncio.run(_run(system, organization, seconds))
            rates.append(rate)
            scaled.append(rate * (slow + slowness()) / 2)
        name, at_scale = "creates in one organization", median(scaled[1:])
        return [Figure(name, median(rates[1:]), "/s", 1000, at_least=True, scaled=at_scale)]


async def _run(system: System, organization: str, seconds: float) -> float:
    identity = Identity.load(system.home / "secrets" / "identity-auth.pem", "auth")
    caller = Caller(
        credential="oidc",
        user_id="bench",
        organization_id=organization,
        organization_role="owner",
        permissions=frozenset({"write:snapshots"}),
    )
    token, _ = identity.sign(caller)
    metadata = (("ratoon-caller", token),)
    prefix, made = uuid4().hex[:8], 0
    deadline = time.perf_counter() + seconds
    async with channel(_target(system), pb) as opened:
        stub = SnapshotServiceStub(opened)

        async def create(number: int) -> None:
            nonlocal made
            n = 0
            while time.perf_counter() < deadline:
                n += 1
                request = pb.CreateSnapshotRequest(
                    organization_id=organization,
                    name=f"{prefix}-{number}-{n}",
                    image_ref="127.0.0.1:9/nothing:1",
                )
                await stub.CreateSnapshot(request, metadata=metadata)
                made += 1

        started = time.perf_counter()
        await asyncio.gather(*(create(n) for n in range(_CALLERS)))
        return made / (time.perf_counter() - started)


def _target(system: System) -> str:
    pid = system.pid_of("services.snapshots serve")
    return usage.environment(pid)["SNAPSHOTS_LISTEN"]
