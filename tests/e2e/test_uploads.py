"""Uploads of build contexts by the published Python client, unmodified, after `ratoon up` and the documented command."""

import asyncio
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bench import usage
from bench.system import System
from services.snapshots.contexts.contexts import bucket_of
from services.snapshots.contexts.factory import contexts_from
from services.snapshots.contexts.settings import ContextsSettings
from tests.prerequisites import client_python

_SCRIPT = Path(__file__).parent / "clients" / "sdk_upload.py"
# Copies of what the system trusts, for one process and its children; the system's own stay as they are.
_OWN_STORE = """\
set -e
mount --make-rprivate /
for folder in /etc/ssl/certs /usr/local/share/ca-certificates; do
    copy=$(mktemp -d "$COPIES/XXXXXX")
    cp -a $folder/. $copy/
    mount --bind $copy $folder
done
"$RATOON" trust
"$RATOON" trust
"$PYTHON" "$SCRIPT" | tail -1
"$RATOON" trust --undo
"$RATOON" trust --undo
if "$PYTHON" "$SCRIPT" 2>refused; then exit 9; fi
grep -q UnknownIssuer refused
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of several parts, of a size that storages take in pieces."""
    made = tmp_path / "app"
    (made / "lib").mkdir(parents=True)
    (made / "main.py").write_text(f"print('{tmp_path}')\n")
    (made / "lib" / "large").write_bytes(os.urandom(1 << 20) * 12)
    return made


def _told(system: System, folder: Path) -> dict[str, str]:
    ours = {"URL": system.url, "KEY": system.key, "FOLDER": str(folder)}
    return {**system.environment, **ours}


def _upload(system: System, folder: Path) -> dict[str, Any]:
    said = subprocess.run(
        [system.program, "trust", "--", str(client_python("sdk")), str(_SCRIPT)],
        env=_told(system, folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    answer: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return answer


def test_what_the_client_uploads_is_what_a_build_gets(
    system: System, folder: Path, tmp_path: Path
) -> None:
    seen = _upload(system, folder)
    assert seen["hashes"] == seen["again"]
    keys = [f"{seen['organization']}/{digest}/context.tar" for digest in seen["hashes"]]
    assert seen["uploaded"] == keys
    assert seen["uploaded again"] == []
    assert set(keys) <= set(seen["listed"])
    assert all(key.startswith(seen["organization"]) for key in seen["listed"])
    # As a worker of the system does it, with what it was told.
    worker = usage.environment(system.pid_of("services.snapshots work"))
    prefix = "SNAPSHOTS_CONTEXTS_"
    settings = ContextsSettings.model_validate(
        {k.removeprefix(prefix).lower(): v for k, v in worker.items() if k.startswith(prefix)}
    )
    contexts, target = contexts_from(settings), tmp_path / "context"
    target.mkdir()

    async def unpack() -> None:
        for key, digest in zip(keys, seen["hashes"], strict=True):
            archive = await (await bucket_of(settings).get_async(key)).bytes_async()
            sha256 = await contexts.unpack(UUID(seen["organization"]), digest, target)
            assert sha256 == hashlib.sha256(archive.to_bytes()).hexdigest()

    asyncio.run(unpack())
    # What the Dockerfile copies is where it looks.
    copied = target / str(folder).lstrip("/")
    assert f'COPY ["{str(folder).lstrip("/")}", "/app"]' in seen["dockerfile"]
    for name in ("main.py", "lib/large"):
        assert (copied / name).read_bytes() == (folder / name).read_bytes()


def test_the_system_can_be_made_to_trust_and_to_forget(
    system: System, folder: Path, tmp_path: Path
) -> None:
    told = {
        "RATOON": system.program,
        "PYTHON": str(client_python("sdk")),
        "SCRIPT": str(_SCRIPT),
        "COPIES": str(tmp_path),
    }
    alone = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    said = subprocess.run(
        [*alone, "sh", "-c", _OWN_STORE],
        env={**_told(system, folder), **told},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    lines = said.stdout.splitlines()
    assert "now, for localhost and loopback addresses only" in lines[0]
    assert "already" in lines[2]
    assert len(json.loads(lines[3])["uploaded"]) == 2
    assert "any more" in lines[4]
    assert "does not trust" in lines[5]


def test_another_organization_sees_nothing_of_it(system: System) -> None:
    organization = system.organization("Uploads Ltd")
    access = system.client.get(
        "/object-storage/push-access", headers={"X-Daytona-Organization-ID": organization}
    )
    assert access.status_code == 200
    assert access.json()["organizationId"] == organization
    assert access.json()["storageUrl"].startswith("https://127.0.0.1:")
