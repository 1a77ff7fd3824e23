"""The published clients, unmodified, against the whole system."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.system import System
from tests.images import Image
from tests.prerequisites import client_python
from tests.registry import Registry

_SCRIPTS = Path(__file__).parent / "clients"


def _drive(environment: str, script: str, system: System, registry: Registry) -> dict[str, Any]:
    told = {"URL": system.url, "KEY": system.key, "IMAGE": f"{registry.host}/small:1"}
    done = subprocess.run(
        [str(client_python(environment)), str(_SCRIPTS / script)],
        env={"PATH": os.environ["PATH"], **told},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_the_synchronous_sdk(system: System, registry: Registry, small_image: Image) -> None:
    seen = _drive("sdk", "sdk_sync.py", system, registry)
    assert seen["state"] == "active"
    assert seen["entrypoint"] == ["/bin/app", "serve"]
    assert seen["size"] > 0
    assert any("active" in line.lower() for line in seen["logs"])
    assert "sdk/sync:1" in seen["names"]
    assert seen["total"] >= 1
    assert seen["same"]
    assert "absent" in seen["failed"]
    assert seen["again"]
    assert seen["missing"]


def test_the_asynchronous_sdk_fans_out(
    system: System, registry: Registry, small_image: Image
) -> None:
    seen = _drive("sdk", "sdk_async.py", system, registry)
    assert seen["states"] == ["active"] * 5
    assert len(seen["refs"]) == 1
    assert seen["listed"] == [f"async-{n}" for n in range(5)]
    # The socket that it opens by itself.
    assert seen["connected"]


def test_the_api_client(system: System, registry: Registry, small_image: Image) -> None:
    seen = _drive("api", "api.py", system, registry)
    assert seen["config"] is True
    assert seen["health"] == 200
    assert seen["organization"] == ["Ünternehmen & Söhne", False, "us"]
    assert seen["got"]
    assert seen["members"] == ["owner"]
    assert (seen["role"], seen["roles"]) == (["read:volumes"], "S")
    assert (seen["invitation"], seen["invitations"]) == ("owner", ["pending"])
    assert seen["own invitations"] == [0, []]
    assert seen["me"] == "ratoon-admin"
    assert seen["regions"] == seen["shared"] == ["us"]
    assert seen["key"] == ["dtn_", 68]
    assert seen["keys"] == ["from the client"]
    assert seen["one key"].startswith("dtn")
    assert seen["one key"].count("*") == 20
    assert seen["current"] == "from the client"
    assert seen["created"] == ["pending", 2, ["us"], None]
    assert seen["active"] == "active"
    assert seen["inactive"] == "inactive"
    assert seen["activated"] == "active"
    assert seen["page"] == [1, 1, 1, ["api"]]
    assert seen["no build"] == 404
    assert seen["after deletion"] == 401
    assert seen["deleted organization"] == 403
