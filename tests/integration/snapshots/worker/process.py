"""A worker as a process of its own, with a neighbour to ask."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chassis.grpc.caller import Verifier
from chassis.grpc.server import Server
from chassis.sealing import Keys
from ratoon.orgs.v1 import organization_service_pb2
from ratoon.orgs.v1.organization_service_pb2_grpc import add_OrganizationServiceServicer_to_server
from tests.identities import Keyring
from tests.integration.snapshots.orgs import FakeOrgs
from tests.integration.snapshots.worker.house import House


class NotStarted(Exception):
    """It ended before it was ready."""


@dataclass
class WorkerProcess:
    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


@dataclass
class Office:
    """Where worker processes for one house are started."""

    house: House
    keyring: Keyring
    folder: Path
    started: list[WorkerProcess] = field(default_factory=list)

    async def close(self) -> None:
        """End what a failed test left running."""
        for worker in self.started:
            if worker.process.returncode is None:
                await worker.kill()

    async def start(self, *hosts: str, **extra: str) -> WorkerProcess:
        """Start one, with more in its environment, and wait until it says that it is ready."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said:
            said.setblocking(False)
            said.bind(str(ready))
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "NOTIFY_SOCKET": str(ready),
                "SNAPSHOTS_DATABASE_URL": self.house.url,
                "SNAPSHOTS_IDENTITY_FILE": str(self.keyring.folder / "identity-snapshots.pem"),
                "SNAPSHOTS_ORGS_TARGET": f"unix:{self.folder}/o",
                "SNAPSHOTS_STORE_PATH": str(self.house.root),
                "SNAPSHOTS_INSECURE_REGISTRIES": ", ".join(hosts),
                "SNAPSHOTS_ENCRYPTION_KEYS": Keys("", {}).renewed().dump(),
                "SNAPSHOTS_WORKER_LEASE_SECONDS": "1",
                **extra,
            }
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.snapshots", "work"), env=environment
            )
            worker = WorkerProcess(process)
            self.started.append(worker)
            loop = asyncio.get_running_loop()
            hello = asyncio.ensure_future(loop.sock_recv(said, 100))
            ended = asyncio.ensure_future(process.wait())
            async with asyncio.timeout(30):
                await asyncio.wait({hello, ended}, return_when=asyncio.FIRST_COMPLETED)
            hello.cancel()
            ended.cancel()
            await asyncio.wait({hello, ended})
            if hello.cancelled():
                raise NotStarted(process.returncode)
            assert hello.result() == b"READY=1"
        return worker


@asynccontextmanager
async def an_office(house: House, keyring: Keyring) -> AsyncIterator[Office]:
    # Short, because a socket's path has a length limit.
    with tempfile.TemporaryDirectory(prefix="rtn-") as folder:
        neighbour = Server("orgs", Verifier(keyring.trust()))
        orgs = FakeOrgs()  # type: ignore[abstract]  # what nobody calls here is not faked
        neighbour.add(organization_service_pb2, add_OrganizationServiceServicer_to_server, orgs)
        running = await neighbour.start(f"unix:{folder}/o")
        office = Office(house, keyring, Path(folder))
        try:
            yield office
        finally:
            await office.close()
            await running.stop(None)
