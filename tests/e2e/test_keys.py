"""Keys in the whole system: what a role's edit, a rotation, a new secret of a region and their use do to them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bench.system import System


@dataclass
class Actor:
    """Somebody with a key, acting in an organization."""

    system: System
    key: str
    organization: str = ""

    def ask(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        headers |= {"Authorization": f"Bearer {self.key}"}
        if self.organization:
            headers["X-Daytona-Organization-ID"] = self.organization
        url = f"{self.system.url}{path}"
        return httpx.request(method, url, json=json, headers=headers, timeout=30)

    def get(self, path: str) -> httpx.Response:
        return self.ask("GET", path)

    def post(self, path: str, json: Any = None) -> httpx.Response:
        return self.ask("POST", path, json)

    def put(self, path: str, json: Any) -> httpx.Response:
        return self.ask("PUT", path, json)

    def patch(self, path: str, json: Any, etag: str) -> httpx.Response:
        return self.ask("PATCH", path, json, **{"If-Match": etag})

    def delete(self, path: str) -> httpx.Response:
        return self.ask("DELETE", path)


Organization = tuple[Actor, str]


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"] if answer.content else ""


@pytest.fixture
def organization(system: System) -> Iterator[Organization]:
    """An organization of the administrator's, and who acts in it."""
    made = system.client.post(
        "/organizations", json={"name": f"keys {uuid4().hex[:8]}", "defaultRegionId": "us"}
    )
    id_ = made.json()["id"]
    yield Actor(system, system.key, id_), id_
    # Nobody may have more than ten. What a test has deleted itself is no longer the administrator's.
    assert system.client.delete(f"/organizations/{id_}").status_code in (204, 403)


def _account(owner: Actor, id_: str, *permissions: str) -> tuple[str, str]:
    """Make a service account with a role of its own; return the ids of both."""
    role = {"name": "r", "description": "", "permissions": list(permissions)}
    role_id = owner.post(f"/organizations/{id_}/roles", json=role).json()["id"]
    body = {"name": "robot", "assignedRoleIds": [role_id]}
    account = owner.post(f"/organizations/{id_}/service-accounts", json=body).json()["userId"]
    return account, role_id


def _key(owner: Actor, id_: str, account: str, *permissions: str) -> str:
    body: dict[str, Any] = {"name": "ci", "permissions": list(permissions)}
    made = owner.post(f"/organizations/{id_}/service-accounts/{account}/api-keys", json=body)
    assert made.status_code == 201
    return str(made.json()["value"])


def test_a_key_outlives_an_edit_of_the_role_it_stands_on(
    system: System, organization: Organization
) -> None:
    owner, id_ = organization
    account, role_id = _account(owner, id_, "delete:snapshots")
    robot = Actor(system, _key(owner, id_, account, "delete:snapshots"))
    unknown = f"/snapshots/{uuid4()}"
    assert _code(robot.delete(unknown)) == (404, "SNAPSHOT_NOT_FOUND")
    role = {"name": "r", "description": "", "permissions": ["write:snapshots"]}
    path = f"/organizations/{id_}/roles/{role_id}"
    assert owner.put(path, json=role).status_code == 200
    # By push, within milliseconds; what is on its way meanwhile may still pass.
    while (answer := robot.delete(unknown)).status_code == 404:
        pass
    assert _code(answer) == (403, "PERMISSION_MISSING")
    (listed,) = owner.get(f"/organizations/{id_}/service-accounts/{account}/api-keys").json()
    assert listed["permissions"] == ["delete:snapshots"]
    assert owner.put(path, json=role | {"permissions": ["delete:snapshots"]}).status_code == 200
    while (answer := robot.delete(unknown)).status_code == 403:
        pass
    assert _code(answer) == (404, "SNAPSHOT_NOT_FOUND")


def test_a_key_with_reads_reads_what_they_name(system: System, organization: Organization) -> None:
    owner, id_ = organization
    account, _ = _account(owner, id_, "write:snapshots")
    robot = Actor(system, _key(owner, id_, account, "read:snapshots"))
    assert robot.get("/snapshots").status_code == 200
    for path in (f"/organizations/{id_}", f"/organizations/{id_}/roles", "/regions"):
        assert _code(robot.get(path)) == (403, "PERMISSION_MISSING")
        assert owner.get(path).status_code == 200


def test_a_service_accounts_key_is_rotated_changed_and_deleted(
    system: System, organization: Organization
) -> None:
    owner, id_ = organization
    account, _ = _account(owner, id_, "write:snapshots")
    old = Actor(system, _key(owner, id_, account))
    path = f"/api-keys/{account}/ci"
    turned = owner.post(f"{path}/rotate", json={"overlapSeconds": 3600})
    new = Actor(system, turned.json()["value"])
    for robot in (old, new):
        shown = robot.get("/api-keys/current").json()
        assert (shown["userId"], shown["previousExpiresAt"] is not None) == (account, True)
    stale = owner.patch(path, json={"permissions": []}, etag='"1"')
    assert _code(stale) == (412, "REVISION_MISMATCH")
    change = {"permissions": ["write:snapshots"], "expiresAt": None}
    changed = owner.patch(path, json=change, etag=turned.headers["etag"])
    assert changed.json()["permissions"] == ["write:snapshots"]
    assert owner.delete(path).status_code == 204
    for robot in (old, new):
        while (answer := robot.get("/api-keys/current")).status_code == 200:
            pass
        assert _code(answer) == (401, "CREDENTIAL_INVALID")


def test_a_regions_secret_is_known_and_refused_when_it_is_replaced(
    system: System, organization: Organization
) -> None:
    owner, _ = organization
    body = {"name": f"r-{uuid4().hex[:8]}", "proxyUrl": "https://proxy.example.org"}
    made = owner.post("/regions", json=body).json()
    machine = Actor(system, made["proxyApiKey"])
    # A machine, but one that may do nothing yet.
    assert _code(machine.get("/snapshots")) == (403, "ORGANIZATION_REQUIRED")
    fresh = owner.post(f"/regions/{made['id']}/regenerate-proxy-api-key").json()["apiKey"]
    assert _code(machine.get("/snapshots")) == (401, "CREDENTIAL_INVALID")
    assert Actor(system, fresh).get("/snapshots").status_code == 403


def test_the_use_of_a_key_is_shown_within_ten_seconds(
    system: System, organization: Organization
) -> None:
    owner, id_ = organization
    account, _ = _account(owner, id_, "write:snapshots")
    robot, used = Actor(system, _key(owner, id_, account)), time.time()
    assert robot.get("/api-keys/current").status_code == 200
    path = f"/organizations/{id_}/service-accounts/{account}/api-keys"
    while owner.get(path).json()[0]["lastUsedAt"] is None:
        assert time.time() - used < 10
    assert owner.get("/api-keys?unusedForDays=1").json() == []


def test_a_user_is_made_with_a_region_and_a_quota(system: System) -> None:
    body: dict[str, Any] = {
        "name": "Grace",
        "email": f"{uuid4().hex[:8]}@example.org",
        "personalOrganizationDefaultRegionId": "us",
        "personalOrganizationQuota": {"snapshotQuota": 3},
    }
    made = system.client.post("/admin/users", json=body)
    assert made.status_code == 201
    key = system.ratoon("key", "new", "--email", body["email"]).strip()
    grace = Actor(system, key)
    (mine,) = grace.get("/organizations").json()
    assert (mine["personal"], mine["defaultRegionId"]) == (True, "us")
    usage = grace.get(f"/organizations/{mine['id']}/usage").json()
    assert usage["totalSnapshotQuota"] == 3
