"""The process itself: it migrates, serves, says so, ends when told, and carries nothing it does not need."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from chassis.grpc.client import channel
from ratoon.auth.v1 import authentication_service_pb2 as pb
from ratoon.auth.v1 import user_service_pb2
from ratoon.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub
from ratoon.auth.v1.user_service_pb2_grpc import UserServiceStub
from tests.fakes import OrgsServer
from tests.identities import Keyring
from tests.postgres import Cluster

Process = asyncio.subprocess.Process


async def _run(command: str, environment: dict[str, str]) -> Process:
    paths = os.pathsep.join(p for p in sys.path if p)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.auth",
        command,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": paths, **environment},
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.fixture
async def environment(
    cluster: Cluster, orgs_server: OrgsServer, keyring: Keyring, folder: Path
) -> dict[str, str]:
    name = f"auth{uuid4().hex[:10]}"
    await cluster.admin(f"CREATE DATABASE {name}")
    return {
        "AUTH_DATABASE_URL": cluster.url(name),
        "AUTH_LISTEN": f"unix:{folder}/auth",
        "AUTH_IDENTITY_FILE": str(keyring.folder / "identity-auth.pem"),
        "AUTH_TRUST_FILE": str(keyring.folder / "trust.json"),
        "AUTH_ORGS_TARGET": orgs_server.target,
        "NOTIFY_SOCKET": f"{folder}/notify",
    }


@asynccontextmanager
async def _serving(environment: dict[str, str]) -> AsyncIterator[Process]:
    migrated = await _run("migrate", environment)
    assert await asyncio.wait_for(migrated.wait(), 60) == 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(environment["NOTIFY_SOCKET"])
        notified.setblocking(False)
        process = await _run("serve", environment)
        loop = asyncio.get_running_loop()
        try:
            assert await asyncio.wait_for(loop.sock_recv(notified, 99), 60) == b"READY=1"
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _end(process: Process) -> tuple[int | None, list[str]]:
    assert process.stderr is not None
    lines = (await asyncio.wait_for(process.stderr.read(), 20)).decode().splitlines()
    await process.wait()
    return process.returncode, lines


async def test_it_migrates_serves_and_ends_when_told(
    environment: dict[str, str], keyring: Keyring
) -> None:
    async with (
        _serving(environment) as process,
        channel(environment["AUTH_LISTEN"], pb, user_service_pb2) as opened,
    ):
        made = await UserServiceStub(opened).EnsureAdmin(
            user_service_pb2.EnsureAdminRequest(email="admin@localhost"),
            metadata=keyring.identity("operator").metadata(),
        )
        stub = AuthenticationServiceStub(opened)
        gateway = keyring.identity("gateway").metadata()
        stream = stub.WatchRevocations(pb.WatchRevocationsRequest(), metadata=gateway)
        assert await stream.read() == pb.WatchRevocationsResponse()
        request = pb.AuthenticateRequest(credential=made.secret)
        answer = await stub.Authenticate(request, metadata=gateway)
        assert answer.caller.user_id == "ratoon-admin"
        process.send_signal(signal.SIGTERM)
        code, lines = await _end(process)
    assert code == 0
    messages = [json.loads(line)["message"] for line in lines if line.startswith("{")]
    assert "serving" in messages
    assert not any(made.secret in line for line in lines)


async def test_a_placeholder_for_a_machine_keeps_it_from_starting(
    environment: dict[str, str], folder: Path
) -> None:
    file = folder / "credentials.json"
    file.write_text(json.dumps({"health-check": "changeme"}))
    process = await _run("serve", {**environment, "AUTH_SERVICE_CREDENTIALS_FILE": str(file)})
    code, lines = await _end(process)
    assert code == 1
    assert "placeholder" in lines[-1]
    assert "changeme" not in "".join(lines)


async def test_serving_loads_nothing_that_only_others_need() -> None:
    script = (
        "import sys, services.auth.__main__;"
        "print(*{'alembic', 'httpx', 'fastapi', 'joserfc', 'pytest'} & set(sys.modules))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, out.decode().strip()) == (0, "")
