"""The audit log of the whole system: what was done and what was refused stands in the right log, exactly once."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bench.system import System

SECONDS = 20


@pytest.fixture
def organization(system: System) -> str:
    return system.organization(f"audited {uuid4().hex[:8]}")


@pytest.fixture
def key(system: System, organization: str) -> Iterator[Callable[..., httpx.Client]]:
    """Give a function that returns a client with a key of the organization."""
    opened: list[httpx.Client] = []

    def client(*permissions: str, name: str) -> httpx.Client:
        made = system.client.post(
            "/api-keys",
            json={"name": name, "permissions": list(permissions)},
            headers={"X-Daytona-Organization-ID": organization},
        )
        assert made.status_code == 201, made.text
        headers = {"Authorization": f"Bearer {made.json()['value']}"}
        opened.append(httpx.Client(base_url=system.url, headers=headers, timeout=30))
        return opened[-1]

    yield client
    for client_ in opened:
        client_.close()


def lines(
    reader: httpx.Client, organization: str, count: int, **query: str
) -> list[dict[str, Any]]:
    """Wait until the log has so many lines; return them, newest first."""
    deadline = time.monotonic() + SECONDS
    while True:
        answer = reader.get(f"/audit/organizations/{organization}", params=query)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        if said["total"] >= count or time.monotonic() > deadline:
            break
    assert said["total"] == count, said
    items: list[dict[str, Any]] = said["items"]
    return items


def test_what_is_done_and_refused_is_in_the_log_of_the_organization(
    system: System, organization: str, key: Callable[..., httpx.Client]
) -> None:
    reader = key("read:audit_logs", name="reader")
    assert reader.post("/snapshots", json={"name": "x"}).status_code == 403
    assert reader.delete(f"/organizations/{organization}").status_code == 403
    items = lines(reader, organization, 4)
    said = {(i["action"], i["targetType"], i["statusCode"]): i for i in items}
    assert set(said) == {
        ("create", "organization", 201),
        ("create", "api_key", 201),
        ("create", "snapshot", 403),
        ("delete", "organization", 403),
    }
    made = said["create", "api_key", 201]
    assert (made["targetId"], made["metadata"]["permissions"]) == ("reader", ["read:audit_logs"])
    assert made["actorEmail"]
    assert made["actorApiKeyPrefix"] == system.key[:3]
    refused = said["create", "snapshot", 403]
    assert refused["errorMessage"].startswith("PERMISSION_MISSING: ")
    assert refused["metadata"] == {"operation": "createSnapshot"}
    assert refused["userAgent"].startswith("python-httpx")
    assert {i["organizationId"] for i in items} == {organization}
    assert len(lines(reader, organization, 2, **{"statusCode[gte]": "400"})) == 2
    exported = reader.get(f"/audit/organizations/{organization}/export").text.splitlines()
    assert [json.loads(line) for line in exported] == items[::-1]


def test_who_removes_a_snapshot_is_in_the_log_and_the_worker_is_not(
    organization: str, key: Callable[..., httpx.Client]
) -> None:
    client = key("read:audit_logs", "write:snapshots", "delete:snapshots", name="all")
    made = client.post("/snapshots", json={"name": "gone", "imageName": "127.0.0.1:9/nothing:1"})
    assert made.status_code == 200, made.text
    id_ = made.json()["id"]
    assert client.delete(f"/snapshots/{id_}").status_code == 200
    deadline = time.monotonic() + SECONDS
    while client.get(f"/snapshots/{id_}").status_code != 404 and time.monotonic() < deadline:
        continue
    items = lines(client, organization, 2, targetType="snapshot")
    assert sorted((i["action"], i["targetId"], i["statusCode"]) for i in items) == [
        ("create", id_, 200),
        ("delete", id_, 200),
    ]
    assert all(i["actorId"] and i["metadata"] == {"name": "gone"} for i in items)


def test_a_stranger_cannot_fill_somebodys_log(
    system: System, organization: str, key: Callable[..., httpx.Client]
) -> None:
    reader, other = key("read:audit_logs", name="reader"), system.organization("others")
    for path in (f"/audit/organizations/{other}", f"/organizations/{other}"):
        assert reader.get(path).status_code == 403
    anonymous = httpx.get(f"{system.url}/organizations/{organization}")
    assert anonymous.status_code == 401
    # What is told of later is there: then what was told before would be, too.
    assert reader.post("/snapshots", json={}).status_code == 403
    lines(reader, organization, 3)
    deadline, wanted = time.monotonic() + SECONDS, {401, 403}
    while wanted and time.monotonic() < deadline:
        query = {"targetType": "organization", "action": "read"}
        for line in system.client.get("/admin/audit", params=query).json()["items"]:
            asked = line.get("metadata", {}).get("organizationId")
            if asked in (other, organization):
                assert "organizationId" not in line
                assert bool(line["actorId"]) == (line["statusCode"] == 403)
                wanted.discard(line["statusCode"])
    assert not wanted


def test_who_may_read_what(
    system: System, organization: str, key: Callable[..., httpx.Client]
) -> None:
    reader = key("read:audit_logs", name="reader")
    assert reader.get("/admin/audit").status_code == 403
    assert system.client.get("/admin/audit").status_code == 200
    for client in (reader, system.client):
        assert client.get("/audit").status_code == 404
    assert key(name="none").get(f"/audit/organizations/{organization}").status_code == 403
    assert httpx.get(f"{system.url}/audit/scenarios").json()["targets"]
    for query in ("limit=0", "limit=201", "page=0", "from=x"):
        answer = reader.get(f"/audit/organizations/{organization}?{query}")
        assert answer.status_code == 400, query
