"""Sharing through the whole system: two organizations, and a third that has nothing to do with it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bench.system import System
from tests.images import Image
from tests.registry import Registry

SECONDS = 30


@dataclass(frozen=True)
class Side:
    organization: str
    client: httpx.Client

    def names(self) -> list[str]:
        page = self.client.get("/snapshots").json()
        assert page["total"] == len(page["items"])
        return [s["name"] for s in page["items"]]


@pytest.fixture
def sides(system: System) -> Iterator[list[Side]]:
    with ExitStack() as stack:
        sides = []
        for word in ("owner", "receiver", "third"):
            organization = system.organization(f"{word} {uuid4().hex[:8]}")
            headers = {"Authorization": f"Bearer {system.key_of(organization)}"}
            client = httpx.Client(base_url=system.url, headers=headers, timeout=30)
            sides.append(Side(organization, stack.enter_context(client)))
        yield sides


def _refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def _lines(system: System, organization: str, count: int) -> list[dict[str, Any]]:
    """Wait until so many changes of access are in the log; return them, oldest first."""
    query = {"action": "update_access", "statusCode[lt]": "400"}
    deadline = time.monotonic() + SECONDS
    while True:
        page = system.client.get(f"/audit/organizations/{organization}", params=query).json()
        if page["total"] >= count or time.monotonic() > deadline:
            break
    assert page["total"] == count, page
    return list(page["items"][::-1])


def test_a_snapshot_is_shared_used_and_withdrawn(
    system: System, registry: Registry, small_image: Image, sides: list[Side]
) -> None:
    owner, receiver, third = sides
    body = {"name": "team/tools", "imageName": f"{registry.host}/small:1"}
    made = owner.client.post("/snapshots", json=body).json()
    shares = f"/snapshots/{made['id']}/shares"
    path = f"{shares}/{receiver.organization}"
    lent = owner.client.put(path, json={"rights": ["use"], "expiresAt": "2999-01-01T00:00:00.000Z"})
    assert lent.status_code == 200, lent.text
    assert (lent.json()["rights"], lent.headers["etag"]) == (["read", "use"], '"1"')
    for ref in (made["id"], "team%2Ftools"):
        found = receiver.client.get(f"/snapshots/{ref}").json()
        assert (found["id"], found["sharedBy"]) == (made["id"], owner.organization)
        assert found["shareRights"] == ["read", "use"]
    assert receiver.names() == ["team/tools"]
    for change in (
        receiver.client.delete(f"/snapshots/{made['id']}"),
        receiver.client.post(f"/snapshots/{made['id']}/deactivate"),
        receiver.client.get(shares),
        receiver.client.put(f"{shares}/{third.organization}", json={"rights": ["read"]}),
        third.client.get(f"/snapshots/{made['id']}"),
        third.client.get("/snapshots/team%2Ftools"),
        third.client.get(shares),
        third.client.put(path, json={"rights": ["read"]}),
        third.client.delete(path),
        third.client.delete(f"{shares}/{third.organization}"),
    ):
        _refused(change, 404, "SNAPSHOT_NOT_FOUND")
    stale = {"If-Match": '"7"'}
    _refused(
        owner.client.put(path, json={"rights": ["read"]}, headers=stale), 412, "REVISION_MISMATCH"
    )
    fresh = {"If-Match": lent.headers["etag"]}
    less = owner.client.put(path, json={"rights": ["read"]}, headers=fresh)
    assert (less.json()["rights"], less.json()["expiresAt"]) == (["read"], None)
    assert [s["rights"] for s in owner.client.get(shares).json()] == [["read"]]
    assert owner.client.delete(path).status_code == 204
    _refused(owner.client.get(path), 404, "SHARE_NOT_FOUND")
    _refused(receiver.client.get(f"/snapshots/{made['id']}"), 404, "SNAPSHOT_NOT_FOUND")
    assert receiver.names() == third.names() == []
    _check_logs(system, sides, made["id"])


def _check_logs(system: System, sides: list[Side], snapshot: str) -> None:
    """Each change stands in both logs, once, and only the owner's says who it was."""
    owner, receiver, third = sides
    wanted = [(["read", "use"], 200), (["read"], 200), ([], 204)]
    for side, other, sign in (
        (owner, receiver, "sharedWith"),
        (receiver, owner, "sharedBy"),
    ):
        done = _lines(system, side.organization, len(wanted))
        assert [(d["metadata"]["rights"], d["statusCode"]) for d in done] == wanted
        assert all(d["metadata"][sign] == other.organization for d in done)
        assert {d["targetId"] for d in done} == {snapshot}
        assert {bool(d["actorEmail"]) for d in done} == {side is owner}
        assert {d["actorId"] == "system" for d in done} == {side is receiver}
    assert _lines(system, third.organization, 0) == []


def test_sharing_tells_nothing_of_who_is_shared_with(
    registry: Registry, small_image: Image, sides: list[Side]
) -> None:
    owner, receiver, _ = sides
    body = {"name": "asked", "imageName": f"{registry.host}/small:1"}
    made = owner.client.post("/snapshots", json=body).json()
    answers = []
    for named in (receiver.organization, str(uuid4())):
        path = f"/snapshots/{made['id']}/shares/{named}"
        sent = (
            owner.client.get(path),
            owner.client.delete(path),
            owner.client.put(path, json={"rights": ["use"]}),
            owner.client.get(path),
            owner.client.delete(path),
        )
        said = [(a.status_code, _told(a, named)) for a in sent]
        answers.append(said)
    assert answers[0] == answers[1]
    assert [status for status, _ in answers[0]] == [404, 404, 200, 200, 204]


def _told(answer: httpx.Response, named: str) -> object:
    if not answer.content:
        return None
    said = {k: v for k, v in answer.json().items() if k not in ("path", "timestamp")}
    return {k: v for k, v in said.items() if not k.endswith("At") and v != named}
