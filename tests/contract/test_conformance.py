"""Requests made up from the served document get answers that the document foresees."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from gateway.server import serve
from tests.gateway_fakes import ACCOUNT, ADMIN, Fakes
from tests.identities import Keyring

CHECKS = ",".join(
    (
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "positive_data_acceptance",
    )
)


@pytest.mark.parametrize(
    ("credential", "paths"),
    [(ACCOUNT, "."), (ADMIN, "^/admin/|/quota|suspend$|-warning$|-egress$")],
)
async def test_no_answer_is_unforeseen(
    keyring: Keyring, tmp_path: Path, credential: str, paths: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    fakes, stop = Fakes(keyring, tmp_path), asyncio.Event()
    await fakes.start()
    async with fakes.gateway() as (_, app):
        serving = asyncio.create_task(serve(app, listen, stop))
        status, said = await _schemathesis(
            f"http://{listen}/api/openapi.json", tmp_path, credential, paths
        )
        stop.set()
        await serving
    await fakes.stop()
    assert status == 0, said
    assert len(fakes.snapshots.calls.names() + fakes.orgs.calls.names()) > 10


async def _schemathesis(
    document: str, folder: Path, credential: str, paths: str
) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), "run", document),
        *("-H", f"Authorization: Bearer {credential}", "--checks", CHECKS, "--seed", "1"),
        *("--include-path-regex", paths),
        *("--phases", "examples,coverage", "--generation-database", "none", "--no-color"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 200)
    return process.returncode, said.decode()
