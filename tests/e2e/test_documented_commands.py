"""The commands that the product's documents show, as they are written, with an account key."""

import json
import subprocess
from typing import Any

from bench.system import System


def curl(system: System, path: str, *words: str, key: str = "") -> tuple[int, Any]:
    """Run curl as the documents show it and return status and body."""
    command = [
        "curl", "-sS", "-w", "\n%{http_code}", f"{system.url}{path}", *words,
        "--header", f"Authorization: Bearer {key or system.key}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body else None


JSON = ("--header", "Content-Type: application/json")


def _create(system: System, name: str = "My Organization") -> dict[str, Any]:
    data = json.dumps({"name": name, "defaultRegionId": "us"})
    status, made = curl(system, "/organizations", "--request", "POST", *JSON, "--data", data)
    assert status == 201
    assert isinstance(made, dict)
    return made


def test_create_list_and_get_an_organization(system: System) -> None:
    made = _create(system)
    assert made["name"] == "My Organization"
    assert made["personal"] is False
    status, listed = curl(system, "/organizations")
    assert status == 200
    assert made["id"] in [o["id"] for o in listed]
    status, got = curl(system, f"/organizations/{made['id']}")
    assert status == 200
    assert got == made


def test_the_default_region_can_be_set_again(system: System) -> None:
    made = _create(system)
    data = ("--data", json.dumps({"defaultRegionId": "us"}))
    path = f"/organizations/{made['id']}/default-region"
    for _ in range(2):
        assert curl(system, path, "--request", "PATCH", *JSON, *data) == (204, None)
    unknown = ("--data", json.dumps({"defaultRegionId": "nowhere"}))
    status, refused = curl(system, path, "--request", "PATCH", *JSON, *unknown)
    assert status == 404
    assert refused["code"] == "REGION_NOT_FOUND"


def test_members_are_listed(system: System) -> None:
    made = _create(system)
    status, members = curl(system, f"/organizations/{made['id']}/users")
    assert status == 200
    assert [(m["userId"], m["role"]) for m in members] == [("ratoon-admin", "owner")]


def test_the_last_owner_cannot_leave_but_can_delete(system: System) -> None:
    made = _create(system)
    path = f"/organizations/{made['id']}"
    status, refused = curl(system, f"{path}/leave", "--request", "POST")
    assert status == 403
    assert refused["code"] == "LAST_OWNER"
    assert curl(system, path, "--request", "DELETE") == (204, None)
    status, gone = curl(system, path)
    assert status == 403
    assert gone["code"] == "ORGANIZATION_FORBIDDEN"


def test_the_personal_organization_stays(system: System) -> None:
    status, refused = curl(system, f"/organizations/{system.personal()}", "--request", "DELETE")
    assert status == 403
    assert refused["code"] == "ORGANIZATION_PERSONAL"
