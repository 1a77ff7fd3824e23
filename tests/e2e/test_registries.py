"""Registries in a whole system: the public client, the audit log, the change of keys, and what may never be seen."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.system import System
from tests.e2e.test_audit import lines
from tests.prerequisites import client_python
from tests.registry import PASSWORD, USER, Registry

_SCRIPT = Path(__file__).parent / "clients" / "registries.py"


def test_the_api_client(system: System, locked_registry: Registry) -> None:
    told = {
        "URL": system.url,
        "KEY": system.key,
        "HOST": locked_registry.host,
        "USERNAME": USER,
        "PASSWORD": PASSWORD,
        "IMAGE": f"{locked_registry.host}/team/private:1",
    }
    done = subprocess.run(
        [str(client_python("api")), str(_SCRIPT)],
        env={"PATH": os.environ["PATH"], **told},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (seen["before"], seen["wrong"], seen["after"]) == ("error", "error", "active")
    assert seen["hub"] == ["docker.io", "organization", ""]
    assert not any("assword" in name for name in seen["answered"])
    assert seen["listed"] == ["private", "hub"]
    assert seen["changed"] == ["ours", True]
    assert (seen["kept"], seen["got"]) == ("kept", "kept")
    said = ["expiresAt", "project", "registryId", "registryUrl", "secret", "username"]
    assert seen["access"] == said
    assert (seen["deleted"], seen["left"]) == (404, [])


def test_each_change_is_in_the_audit_log_once(system: System) -> None:
    login = {"username": "me", "password": "audited-hush"}
    made = system.client.post("/docker-registry", json={"name": "a", "url": "quay.io", **login})
    assert made.status_code == 201
    id_ = made.json()["id"]
    assert system.client.post(f"/docker-registry/{id_}/test").status_code == 200
    preferred = system.client.post(f"/admin/docker-registry/{id_}/set-default")
    assert (preferred.status_code, preferred.json()["id"]) == (200, id_)
    assert system.client.delete(f"/docker-registry/{id_}").status_code == 204
    log = lines(system.client, system.personal(), 3, targetId=id_)
    assert sorted(line["action"] for line in log) == ["create", "delete", "set_default"]
    created = next(line for line in log if line["action"] == "create")
    assert created["targetType"] == "docker_registry"
    assert created["statusCode"] == 201
    assert created["metadata"]["body"]["password"] == "******"


def test_the_key_is_replaced_and_nothing_is_shown(
    system: System, locked_registry: Registry
) -> None:
    login = {"username": USER, "password": PASSWORD}
    body = {"name": "r", "url": locked_registry.host, **login}
    id_ = system.client.post("/docker-registry", json=body).json()["id"]
    keys = system.home / "secrets" / "snapshots-encryption-keys.json"
    before = json.loads(keys.read_text())["active"]
    assert int(system.ratoon("key", "rotate-encryption").rpartition(": ")[2]) >= 1
    assert json.loads(keys.read_text())["active"] != before
    tested = system.client.post(f"/docker-registry/{id_}/test").json()
    assert (tested["ok"], tested["code"]) == (True, "OK")
    logs = "".join(path.read_text() for path in (system.home / "logs").iterdir())
    assert not [word for word in (PASSWORD, "audited-hush") if word in logs]
    system.client.delete(f"/docker-registry/{id_}")
