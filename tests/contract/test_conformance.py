"""Requests made up from the served document get answers that the document foresees."""

import asyncio
import re
import socket
import sys
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from gateway.app import application
from gateway.paths import PREFIX
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


# In parts, so that they can be asked side by side.
PARTS = {
    "snapshots": "^/(snapshots|admin/snapshots|object-storage|config|health|shared-regions)",
    "keys": "^/api-keys|/service-accounts",
    "people": "/(users|invitations|leave)(/|$)",
    "roles": "/roles",
    "settings": "/organizations/[^/]+/(otel|experimental|sandbox|preview|default|quota|usage|suspend|unsuspend|available)"
    "|by-sandbox-auth-token|^/admin/organizations",
    "organizations": "^/organizations(/{organizationId})?$|^/regions",
    "audit": "/audit",
    "registries": "/docker-registry|^/registry/token",
    "webhooks": "/webhooks/",
}


def test_every_operation_is_in_one_part() -> None:
    paths = {
        r.path_format.removeprefix(PREFIX)
        for r in application("1").routes
        if isinstance(r, APIRoute)
    }
    found = {
        path: [n for n, pattern in PARTS.items() if re.search(pattern, path)] for path in paths
    }
    assert {path: parts for path, parts in found.items() if len(parts) != 1} == {}


@pytest.mark.parametrize(
    ("part", "credential"),
    [
        *((part, ACCOUNT) for part in PARTS),
        *((p, ADMIN) for p in ("settings", "people", "registries", "snapshots", "webhooks")),
    ],
)
async def test_no_answer_is_unforeseen(
    keyring: Keyring, tmp_path: Path, part: str, credential: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    fakes, stop = Fakes(keyring, tmp_path), asyncio.Event()
    await fakes.start()
    async with fakes.gateway() as (_, app):
        serving = asyncio.create_task(serve(app, listen, stop))
        document = f"http://{listen}/api/openapi.json"
        status, said = await _schemathesis(document, PARTS[part], credential, tmp_path)
        stop.set()
        await serving
    await fakes.stop()
    assert status == 0, said


async def _schemathesis(
    document: str, part: str, credential: str, folder: Path
) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), "run", document),
        *("--include-path-regex", part),
        *("-H", f"Authorization: Bearer {credential}", "--checks", CHECKS, "--seed", "1"),
        *("--phases", "examples,coverage", "--generation-database", "none", "--no-color"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 200)
    return process.returncode, said.decode()
