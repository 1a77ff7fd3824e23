"""Another image under the same name, through the whole system."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bench.system import System
from tests.images import image
from tests.registry import Registry

SECONDS = 40


@pytest.fixture
def organization(system: System) -> str:
    return system.organization(f"versions {uuid4().hex[:8]}")


@pytest.fixture
def client(system: System, organization: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {system.key_of(organization)}"}
    with httpx.Client(base_url=system.url, headers=headers, timeout=30) as client:
        yield client


def _until(look: Callable[[], Any], wanted: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while (found := look()) != wanted:
        assert time.monotonic() < deadline, found


def test_another_image_without_a_gap_and_back(
    system: System, registry: Registry, client: httpx.Client, organization: str
) -> None:
    digests = [registry.push("versioned", str(n), image((100_000,), seed=900 + n)) for n in (1, 2)]
    name = f"{registry.host}/versioned"
    made = client.post("/snapshots", json={"name": "app", "imageName": f"{name}:1"}).json()
    path = f"/snapshots/{made['id']}"
    _until(lambda: client.get(path).json()["state"], "active")
    first = client.get(path).json()
    assert (first["version"], first["ref"]) == (1, f"{name}@{digests[0]}")
    headers = {"Idempotency-Key": "once"}
    for _ in range(2):
        asked = client.post(f"{path}/image", json={"imageName": f"{name}:2"}, headers=headers)
        assert asked.status_code == 200, asked.text
        assert asked.json()["number"] == 2
    refs = set()

    def ref() -> str:
        shown = client.get("/snapshots/app").json()
        assert shown["state"] == "active"
        refs.add(shown["ref"])
        return str(shown["ref"])

    _until(ref, f"{name}@{digests[1]}")
    assert refs <= {f"{name}@{d}" for d in digests}
    new, old = client.get(f"{path}/versions").json()
    assert (new["number"], new["state"], new["current"], new["digest"]) == (
        *(2, "active", True, digests[1]),
    )
    assert (old["number"], old["state"], old["stored"], old["digest"]) == (
        *(1, "inactive", True, digests[0]),
    )
    assert old["createdBy"] == new["createdBy"] != ""
    back = client.post(f"{path}/versions/1/rollback")
    assert (back.status_code, back.json()["current"]) == (200, True)
    shown = client.get(path).json()
    assert (shown["id"], shown["version"], shown["ref"]) == (made["id"], 1, first["ref"])
    assert client.get("/snapshots").json()["total"] == 1
    broken = client.post(f"{path}/image", json={"imageName": f"{name}:none"})
    assert broken.json()["number"] == 3
    _until(lambda: client.get(f"{path}/versions").json()[0]["state"], "error")
    assert client.get(f"{path}/versions").json()[0]["errorCode"] == "IMAGE_NOT_FOUND"
    assert client.get(path).json() == shown
    for answer, status, code in (
        (client.post(f"{path}/versions/3/rollback"), 400, "VERSION_STATE_CONFLICT"),
        (client.post(f"{path}/versions/9/rollback"), 404, "VERSION_NOT_FOUND"),
        (client.post(f"{path}/image", json={}), 400, "IMAGE_OR_BUILD_REQUIRED"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    # Each change is in the log once: what was asked for by who asked, what came later by nobody.
    query = {"action": "update", "targetType": "snapshot", "statusCode[lt]": "400"}
    log = f"/audit/organizations/{organization}"
    _until(lambda: system.client.get(log, params=query).json()["total"], 4)
    lines = system.client.get(log, params=query).json()["items"][::-1]
    assert [(x["metadata"]["version"], x["actorId"] == "system") for x in lines] == [
        (2, False),
        (2, True),
        (1, False),
        (3, False),
    ]
