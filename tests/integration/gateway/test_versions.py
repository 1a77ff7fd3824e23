"""/snapshots/{id}/image and /snapshots/{id}/versions: what is asked of the service, and how its answers look."""

import httpx
import pytest

from chassis.errors import Kind, Refusal
from ratoon.snapshots.v1 import snapshot_pb2, version_pb2
from tests.gateway_fakes import ORG, SHOWN_STAMP, Fakes
from tests.gateway_fakes.versions import a_version

SHA = "sha256:" + "a" * 64


class Conflict(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "SNAPSHOT_STATE_CONFLICT"


async def test_an_image_is_set(fakes: Fakes, client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/snapshots/x/image", json={"imageName": "a:2"}, headers={"Idempotency-Key": "k"}
    )
    assert answer.status_code == 200
    told = answer.json()
    assert (told["number"], told["imageName"], told["state"]) == (2, "a:2", "pending")
    asked = fakes.versions.calls.last("SetImage")
    assert (asked.organization_id, asked.ref.text, asked.image_ref) == (ORG, "x", "a:2")
    assert asked.request_id == "k"
    assert not asked.HasField("build")
    build = {"buildInfo": {"dockerfileContent": "FROM a", "contextHashes": ["h"]}}
    await client.post("/snapshots/x/image", json=build)
    asked = fakes.versions.calls.last("SetImage")
    assert (asked.build.dockerfile, list(asked.build.context_hashes)) == ("FROM a", ["h"])


async def test_versions_are_shown(fakes: Fakes, client: httpx.AsyncClient) -> None:
    failure = snapshot_pb2.Failure(code="IMAGE_NOT_FOUND", reason="no such tag", remedy="push it")
    states = version_pb2.VersionState
    fakes.versions.versions = [
        a_version(state=states.VERSION_STATE_ERROR, failure=failure, created_by="ada"),
        a_version(number=1, state=states.VERSION_STATE_ACTIVE, current=True, ref=f"r/a@{SHA}",
                  size_bytes=2**29, stored=True),
    ]  # fmt: skip
    failed, current = (await client.get("/snapshots/x/versions")).json()
    assert current == {
        "number": 1,
        "snapshotId": "s",
        "imageName": "alpine:3.21",
        "state": "active",
        "current": True,
        "ref": f"r/a@{SHA}",
        "digest": SHA,
        "size": 0.5,
        "stored": True,
        "errorCode": None,
        "errorReason": None,
        "errorRemedy": None,
        "progress": None,
        "buildRef": None,
        "createdAt": SHOWN_STAMP,
        "createdBy": None,
    }
    assert (failed["state"], failed["current"], failed["createdBy"]) == ("error", False, "ada")
    assert (failed["errorCode"], failed["ref"], failed["digest"]) == ("IMAGE_NOT_FOUND", None, None)
    shown = [a_version(state=n) for n in states.values() if n]
    fakes.versions.versions = shown
    words = [v["state"] for v in (await client.get("/snapshots/x/versions")).json()]
    assert words == ["pending", "building", "pulling", "active", "inactive", "error", "superseded", "cancelled"]  # fmt: skip


async def test_a_version_is_gone_back_to(fakes: Fakes, client: httpx.AsyncClient) -> None:
    answer = await client.post("/snapshots/x/versions/7/rollback")
    assert (answer.status_code, answer.json()["number"]) == (200, 7)
    asked = fakes.versions.calls.last("RollBack")
    assert (asked.organization_id, asked.ref.text, asked.number) == (ORG, "x", 7)
    fakes.versions.calls.refusals["RollBack"] = Conflict("no")
    answer = await client.post("/snapshots/x/versions/7/rollback")
    assert (answer.status_code, answer.json()["code"]) == (400, "SNAPSHOT_STATE_CONFLICT")


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "2147483648", "9" * 30, "%00"])
async def test_what_is_no_number_is_refused(client: httpx.AsyncClient, number: str) -> None:
    answer = await client.post(f"/snapshots/x/versions/{number}/rollback")
    assert answer.status_code == 400, answer.text
