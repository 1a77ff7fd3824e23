"""What administrators do with snapshots, and what is tried again."""

from typing import Any

import httpx
import pytest

from ratoon.snapshots.v1 import snapshot_admin_service_pb2 as pb
from tests.gateway_fakes import ADMIN, ORG, Fakes
from tests.integration.gateway.conftest import Served, client_of


@pytest.fixture
async def admin(served: Served) -> Any:
    async with client_of(served[1], ADMIN) as client:
        yield client


async def test_a_snapshot_is_shown_to_everybody(fakes: Fakes, admin: httpx.AsyncClient) -> None:
    id_ = fakes.snapshots.snapshots[0].id
    for general in (True, False):
        answer = await admin.patch(f"/admin/snapshots/{id_}/general", json={"general": general})
        assert (answer.status_code, answer.json()["general"]) == (200, general)
        asked = fakes.snapshot_administration.calls.last("SetSnapshotGeneral")
        assert asked == pb.SetSnapshotGeneralRequest(snapshot_id=id_, general=general)
    wrongs: tuple[Any, ...] = ({}, {"general": "yes"}, {"general": None}, [])
    for wrong in wrongs:
        answer = await admin.patch(f"/admin/snapshots/{id_}/general", json=wrong)
        assert answer.status_code == 400
    unknown = await admin.patch("/admin/snapshots/unknown/general", json={"general": True})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "SNAPSHOT_NOT_FOUND")


async def test_whether_an_image_is_used(fakes: Fakes, admin: httpx.AsyncClient) -> None:
    path = "/admin/snapshots/can-cleanup-image"
    for unused in (True, False):
        fakes.snapshot_administration.unused = unused
        answer = await admin.get(path, params={"imageName": "x.example/y:1"})
        assert (answer.status_code, answer.json()) == (200, unused)
    assert fakes.snapshot_administration.calls.last("CanCleanupImage").image_ref == "x.example/y:1"
    unusable: tuple[dict[str, str], ...]
    unusable = ({}, {"imageName": ""}, {"imageName": "a" * 2_000}, {"imageName": "x\0"})
    for query in unusable:
        assert (await admin.get(path, params=query)).status_code == 400


async def test_only_administrators(client: httpx.AsyncClient) -> None:
    general = await client.patch("/admin/snapshots/x/general", json={"general": True})
    cleanup = await client.get("/admin/snapshots/can-cleanup-image", params={"imageName": "x"})
    for answer in (general, cleanup):
        assert (answer.status_code, answer.json()["code"]) == (403, "SYSTEM_ADMIN_REQUIRED")


async def test_a_failed_snapshot_is_tried_again(fakes: Fakes, client: httpx.AsyncClient) -> None:
    answer = await client.post("/snapshots/team%2Fbase/retry")
    assert answer.status_code == 404
    answer = await client.post("/snapshots/base/retry")
    assert (answer.status_code, answer.json()["name"]) == (200, "base")
    asked = fakes.snapshots.calls.last("RetrySnapshot")
    assert (asked.organization_id, asked.ref.text) == (ORG, "base")
