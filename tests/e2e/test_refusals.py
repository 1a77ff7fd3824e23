"""Bad input at the front door of the whole system: the published status, one error shape, never a 500."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bench.system import System

SHAPE = {"path", "timestamp", "statusCode", "error", "message", "code", "source"}
TAG = "127.0.0.1:9/nothing:1"


@dataclass(frozen=True)
class Actors:
    """Two organizations and keys of the first."""

    system: System
    a: str
    b: str
    none: httpx.Client = field(repr=False)
    writer: httpx.Client = field(repr=False)
    deleter: httpx.Client = field(repr=False)
    foreign: httpx.Client = field(repr=False)
    anonymous: httpx.Client = field(repr=False)


@pytest.fixture(scope="module")
def actors(system: System) -> Iterator[Actors]:
    a, b = system.organization("refusals A"), system.organization("refusals B")
    with ExitStack() as open_clients:

        def client(organization: str, *permissions: str) -> httpx.Client:
            made = system.client.post(
                "/api-keys",
                json={"name": uuid4().hex, "permissions": list(permissions)},
                headers={"X-Daytona-Organization-ID": organization},
            )
            assert made.status_code == 201, made.text
            return opened({"Authorization": f"Bearer {made.json()['value']}"})

        def opened(headers: dict[str, str]) -> httpx.Client:
            made = httpx.Client(base_url=system.url, headers=headers, timeout=30)
            return open_clients.enter_context(made)

        yield Actors(
            system, a, b,
            none=client(a),
            writer=client(a, "write:snapshots"),
            deleter=client(a, "delete:snapshots"),
            foreign=client(b, "write:snapshots", "delete:snapshots"),
            anonymous=opened({}),
        )  # fmt: skip


def refused(answer: httpx.Response, status: int, code: str = "") -> dict[str, Any]:
    """Assert that `answer` is a refusal in the published shape and return its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert "x-daytona-api-version" in answer.headers
    body: dict[str, Any] = answer.json()
    assert set(body) >= SHAPE
    assert body["statusCode"] == status
    assert body["source"] == "DAYTONA_API"
    assert body["path"].startswith("/api/")
    datetime.fromisoformat(body["timestamp"])
    assert isinstance(body["message"], str)
    if code:
        assert body["code"] == code
    return body


def test_without_a_valid_credential(actors: Actors) -> None:
    for header in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic abc"}):
        refused(actors.anonymous.get("/snapshots", headers=header), 401, "CREDENTIAL_INVALID")
        refused(actors.anonymous.post("/snapshots", headers=header, content=b"{"), 401)
    assert actors.anonymous.get(f"/snapshots?access_token={actors.system.key}").status_code == 401


def test_the_scheme_is_of_any_case(actors: Actors) -> None:
    headers = {"Authorization": f"bEaReR {actors.system.key}"}
    assert actors.anonymous.get("/snapshots", headers=headers).status_code == 200


def test_permissions(actors: Actors) -> None:
    body = {"name": f"p-{uuid4().hex}", "imageName": TAG}
    assert actors.none.get("/snapshots").status_code == 200
    refused(actors.none.post("/snapshots", json=body), 403, "PERMISSION_MISSING")
    refused(actors.deleter.post("/snapshots", json=body), 403, "PERMISSION_MISSING")
    made = actors.writer.post("/snapshots", json=body)
    assert made.status_code == 200, made.text
    path = f"/snapshots/{made.json()['id']}"
    refused(actors.writer.delete(path), 403, "PERMISSION_MISSING")
    refused(actors.deleter.post(f"{path}/activate"), 403, "PERMISSION_MISSING")
    refused(actors.deleter.post(f"{path}/deactivate"), 403, "PERMISSION_MISSING")
    for gone in (actors.deleter.delete(path), actors.deleter.delete(path)):
        assert gone.status_code in (200, 404)


def test_access_is_decided_before_validation(actors: Actors) -> None:
    for body in (b"{", b"\xff", b"[]", b'{"name": 5}', b""):
        refused(actors.none.post("/snapshots", content=body), 403, "PERMISSION_MISSING")


CREATES: list[tuple[Any, str]] = [
    ({"imageName": TAG}, ""),
    ({"name": None, "imageName": TAG}, ""),
    ({"name": 5, "imageName": TAG}, ""),
    ({"name": "", "imageName": TAG}, "SNAPSHOT_NAME_INVALID"),
    ({"name": "my snap", "imageName": TAG}, "SNAPSHOT_NAME_INVALID"),
    ({"name": "a//b", "imageName": TAG}, "SNAPSHOT_NAME_INVALID"),
    ({"name": "/a", "imageName": TAG}, "SNAPSHOT_NAME_INVALID"),
    ({"name": "a\u0000b", "imageName": TAG}, ""),
    ({"name": "x<b>", "imageName": TAG}, "SNAPSHOT_NAME_INVALID"),
    ({"name": "https://x", "imageName": TAG}, "SNAPSHOT_NAME_INVALID"),
    ({"name": "n" * 5000, "imageName": TAG}, ""),
    ({"name": "n"}, "IMAGE_OR_BUILD_REQUIRED"),
    ({"name": "n", "imageName": "alpine"}, "IMAGE_REF_UNPINNED"),
    ({"name": "n", "imageName": "alpine:"}, ""),
    ({"name": "n", "imageName": "alpine:latest"}, "IMAGE_REF_UNPINNED"),
    ({"name": "n", "imageName": "localhost:5000/alpine"}, "IMAGE_REF_UNPINNED"),
    ({"name": "n", "imageName": "alpine@sha256:" + "a" * 63}, "IMAGE_REF_INVALID"),
    ({"name": "n", "imageName": "alpine@sha256:" + "A" * 64}, "IMAGE_REF_INVALID"),
    ({"name": "n", "imageName": "al\u0000pine:1"}, ""),
    ({"name": "n", "imageName": TAG, "entrypoint": "sleep infinity"}, ""),
    ({"name": "n", "imageName": TAG, "entrypoint": ["a\u0000"]}, ""),
    ({"name": "n", "imageName": TAG, "cpu": 5}, "RESOURCES_EXCEED_LIMIT"),
    ({"name": "n", "imageName": TAG, "memory": 9}, "RESOURCES_EXCEED_LIMIT"),
    ({"name": "n", "imageName": TAG, "disk": 11}, "RESOURCES_EXCEED_LIMIT"),
    ({"name": "n", "imageName": TAG, "cpu": -1}, ""),
    ({"name": "n", "imageName": TAG, "cpu": 1.5}, ""),
    ({"name": "n", "imageName": TAG, "cpu": 10**30}, ""),
    ({"name": "n", "imageName": TAG, "cpu": "1"}, ""),
    ({"name": "n", "imageName": TAG, "buildInfo": {"dockerfileContent": "FROM x"}}, "IMAGE_AND_BUILD"),
    ({"name": "n", "buildInfo": {"dockerfileContent": "FROM x"}, "entrypoint": ["x"]}, "ENTRYPOINT_WITH_BUILD"),
    ({"name": "n", "buildInfo": {"dockerfileContent": "FROM x", "contextHashes": ["../x"]}}, "CONTEXT_HASH_INVALID"),
    ({"name": "n", "buildInfo": {}}, ""),
    ({"name": "n", "buildInfo": {"dockerfileContent": 5}}, ""),
    ({"name": "n", "buildInfo": {"dockerfileContent": ""}}, ""),
    ({"name": "n", "buildInfo": {"dockerfileContent": "FROM x", "contextHashes": "abc"}}, ""),
    ({"name": "n", "imageName": TAG, "regionId": 5}, ""),
    ([], ""),
    ("text", ""),
    (None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code"), CREATES, ids=lambda v: repr(v)[:60])
def test_a_bad_snapshot_is_refused(actors: Actors, body: Any, code: str) -> None:
    refused(actors.writer.post("/snapshots", content=json.dumps(body)), 400, code)


RAW = [
    b"{", b"", b"\xff\xfe", b"[" * 100_000, b'{"name": NaN}', b'{"name": "\\ud800", "imageName": "a:1"}',
    b'{"name": 1e999}', b"nul", b'{"name": "a", "name": 5, "imageName": "a:1"}',
]  # fmt: skip


@pytest.mark.parametrize("body", RAW, ids=lambda b: repr(b[:20]))
def test_malformed_bodies(actors: Actors, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    refused(actors.writer.post("/snapshots", content=body, headers=headers), 400)


def test_a_huge_body_is_refused_before_it_is_read(actors: Actors) -> None:
    refused(actors.writer.post("/snapshots", content=b" " * (1 << 20) + b"{}"), 413)

    def chunks() -> Any:
        for _ in range(64):
            yield b" " * 65536

    refused(actors.writer.post("/snapshots", content=chunks()), 413)


def test_what_names_and_images_are_allowed(actors: Actors) -> None:
    for name in ("Team/Img_1.2:dev-3", "mydata:1", "hotel:2", f"d@sha256:{'0' * 64}"):
        unique = f"{uuid4().hex[:8]}/{name}"
        made = actors.writer.post(
            "/snapshots", json={"name": unique, "imageName": f"127.0.0.1:9/a@sha256:{'1' * 64}"}
        )
        assert made.status_code == 200, made.text
        again = actors.writer.post("/snapshots", json={"name": unique, "imageName": TAG})
        refused(again, 409, "SNAPSHOT_NAME_TAKEN")
        other = actors.foreign.post("/snapshots", json={"name": unique, "imageName": TAG})
        assert other.status_code == 200, other.text
        got = actors.none.get(f"/snapshots/{unique.replace('/', '%2F')}")
        assert got.status_code == 200
        assert got.json()["id"] == made.json()["id"]
        actors.deleter.delete(f"/snapshots/{made.json()['id']}")
        actors.foreign.delete(f"/snapshots/{other.json()['id']}")


def test_the_answer_to_a_create(actors: Actors) -> None:
    body = {
        "name": f"c-{uuid4().hex}", "imageName": TAG, "memory": 2, "entrypoint": ["", " "],
        "organizationId": actors.b, "size": 0, "initialRunnerId": "x", "general": True, "id": str(uuid4()),
    }  # fmt: skip
    made = actors.writer.post("/snapshots", json=body).json()
    assert made["state"] == "pending"
    assert (made["cpu"], made["gpu"], made["mem"], made["disk"]) == (1, 0, 2, 3)
    assert "memory" not in made
    assert made["organizationId"] == actors.a
    assert made["general"] is False
    assert made["id"] != body["id"]
    assert made["id"][14] == "4"
    assert made["regionIds"] == ["us"]
    for name in ("size", "entrypoint", "errorReason", "lastUsedAt", "sourceSandboxId"):
        assert made[name] is None, name
    actors.deleter.delete(f"/snapshots/{made['id']}")


def test_what_is_not_there_and_what_is_somebody_elses_look_alike(actors: Actors) -> None:
    made = actors.foreign.post(
        "/snapshots", json={"name": f"f-{uuid4().hex}", "imageName": TAG}
    ).json()
    for ref in (made["id"], made["name"], str(uuid4()), "never-made", "%00", "a" * 3000, "%ff"):
        refused(actors.writer.get(f"/snapshots/{ref}"), 404, "SNAPSHOT_NOT_FOUND")
        refused(actors.deleter.delete(f"/snapshots/{ref}"), 404, "SNAPSHOT_NOT_FOUND")
        refused(actors.writer.post(f"/snapshots/{ref}/activate"), 404, "SNAPSHOT_NOT_FOUND")
        refused(actors.writer.post(f"/snapshots/{ref}/deactivate"), 404, "SNAPSHOT_NOT_FOUND")
    actors.foreign.delete(f"/snapshots/{made['id']}")


def test_a_name_where_an_id_is_needed(actors: Actors) -> None:
    name = f"n-{uuid4().hex}"
    made = actors.writer.post("/snapshots", json={"name": name, "imageName": TAG}).json()
    refused(actors.deleter.delete(f"/snapshots/{name}"), 400, "SNAPSHOT_ID_REQUIRED")
    refused(actors.writer.post(f"/snapshots/{name}/activate"), 400, "SNAPSHOT_ID_REQUIRED")
    actors.deleter.delete(f"/snapshots/{made['id']}")


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=1.5",
        "page=x",
        "page=",
        "limit=0",
        "limit=201",
        "sort=size",
        "order=up",
        f"page={10**30}",
    ],
)
def test_bad_pages(actors: Actors, query: str) -> None:
    refused(actors.none.get(f"/snapshots?{query}"), 400)


def test_pages_beyond_the_end_are_empty(actors: Actors) -> None:
    # What other tests have deleted may be leaving meanwhile.
    before = actors.none.get("/snapshots").json()["total"]
    page = actors.none.get("/snapshots?limit=200&page=50").json()
    after = actors.none.get("/snapshots").json()["total"]
    assert page["items"] == []
    assert page["page"] == 50
    assert after <= page["total"] <= before


def test_regions(actors: Actors) -> None:
    body = {"name": f"r-{uuid4().hex}", "imageName": TAG, "regionId": "nowhere"}
    refused(actors.writer.post("/snapshots", json=body), 404, "REGION_NOT_FOUND")


def test_an_ordinary_key_stays_in_its_organization(actors: Actors) -> None:
    headers = {"X-Daytona-Organization-ID": actors.b}
    body = {"name": f"h-{uuid4().hex}", "imageName": TAG}
    made = actors.writer.post("/snapshots", json=body, headers=headers).json()
    assert made["organizationId"] == actors.a
    refused(actors.writer.get(f"/organizations/{actors.b}"), 403, "ORGANIZATION_FORBIDDEN")
    refused(actors.writer.get("/organizations/not-an-id"), 403, "ORGANIZATION_FORBIDDEN")
    assert [o["id"] for o in actors.writer.get("/organizations").json()] == [actors.a]
    refused(
        actors.writer.post("/organizations", json={"name": "x", "defaultRegionId": "us"}),
        403,
        "ACCOUNT_KEY_REQUIRED",
    )
    refused(actors.writer.delete(f"/organizations/{actors.a}"), 403)
    refused(actors.writer.post("/api-keys", json={"name": "k", "permissions": []}), 403)
    actors.deleter.delete(f"/snapshots/{made['id']}")


KEYS: list[tuple[Any, int, str]] = [
    ({"name": "", "permissions": []}, 400, ""),
    ({"name": "<b>x</b>", "permissions": []}, 400, "API_KEY_NAME_INVALID"),
    ({"name": "a\u0000", "permissions": []}, 400, ""),
    ({"name": "current", "permissions": []}, 400, "API_KEY_NAME_INVALID"),
    ({"name": "k", "permissions": "x"}, 400, ""),
    ({"name": "k", "permissions": ["fly:moon"]}, 400, ""),
    ({"name": "k", "permissions": [5]}, 400, ""),
    ({"name": "k", "permissions": [], "expiresAt": "x"}, 400, ""),
    (
        {"name": "k", "permissions": [], "expiresAt": "2020-01-01T00:00:00Z"},
        400,
        "API_KEY_EXPIRY_PAST",
    ),
    ({"permissions": []}, 400, ""),
]


@pytest.mark.parametrize(("body", "status", "code"), KEYS, ids=lambda v: repr(v)[:50])
def test_bad_keys(system: System, body: Any, status: int, code: str) -> None:
    refused(system.client.post("/api-keys", json=body), status, code)


def test_other_published_paths_are_not_built_yet(actors: Actors) -> None:
    for method, path in (
        ("GET", "/sandbox"),
        ("POST", "/sandbox"),
        ("GET", "/volumes"),
        ("GET", "/runners"),
    ):
        refused(actors.system.client.request(method, path), 501, "NOT_IMPLEMENTED")


def test_paths_and_methods_that_do_not_exist(actors: Actors) -> None:
    refused(actors.system.client.get("/no/such/path"), 404)
    refused(actors.system.client.put("/snapshots"), 405)
    refused(actors.system.client.get("/audit"), 404)


def test_an_idempotency_key_makes_once(actors: Actors) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    body = {"name": f"i-{uuid4().hex}", "imageName": TAG}
    first = actors.writer.post("/snapshots", json=body, headers=headers)
    second = actors.writer.post("/snapshots", json=body, headers=headers)
    assert first.status_code == second.status_code == 200
    assert first.json()["id"] == second.json()["id"]
    other = actors.writer.post("/snapshots", json={**body, "cpu": 2}, headers=headers)
    refused(other, 409, "IDEMPOTENCY_KEY_REUSED")
    actors.deleter.delete(f"/snapshots/{first.json()['id']}")


def test_health_is_for_the_probe(actors: Actors) -> None:
    assert actors.anonymous.get("/health").json() == {"status": "ok"}
    refused(actors.anonymous.get("/health/ready"), 401)
    refused(actors.writer.get("/health/ready"), 403)
    secrets = json.loads((actors.system.home / "secrets" / "service-credentials.json").read_text())
    probe = {"Authorization": f"Bearer {secrets['health-check']}"}
    assert actors.anonymous.get("/health/ready", headers=probe).json() == {"status": "ok"}


def test_the_socket_the_clients_open_is_answered_cleanly(actors: Actors) -> None:
    for query in ("EIO=4&transport=polling", "EIO=4&transport=websocket", ""):
        answer = actors.system.client.get(f"/socket.io/?{query}")
        refused(answer, 400, "WEBSOCKET_REQUIRED")
