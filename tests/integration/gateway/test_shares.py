"""/snapshots/{id}/shares: what is asked of the service, and how its answers look."""

import httpx
import pytest

from chassis.revisions import RevisionMismatch
from ratoon.snapshots.v1 import snapshot_pb2
from tests.gateway_fakes import ORG, OTHER, SHOWN_STAMP, STAMP, Fakes, a_snapshot

PATH = f"/snapshots/base/shares/{OTHER}"
READ, USE = snapshot_pb2.SHARE_RIGHT_READ, snapshot_pb2.SHARE_RIGHT_USE
SHOWN = {
    "organizationId": OTHER,
    "rights": ["read"],
    "expiresAt": None,
    "createdAt": SHOWN_STAMP,
    "updatedAt": SHOWN_STAMP,
}


async def test_shares_are_shown(fakes: Fakes, client: httpx.AsyncClient) -> None:
    assert (await client.get("/snapshots/base/shares")).json() == [SHOWN]
    asked = fakes.shares.calls.last("ListShares")
    assert (asked.organization_id, asked.ref.text) == (ORG, "base")
    one = await client.get(PATH)
    assert (one.json(), one.headers["etag"]) == (SHOWN, '"3"')
    assert fakes.shares.calls.last("GetShare").receiver_id == OTHER


async def test_the_organization_in_the_path_is_not_the_one_that_acts(
    fakes: Fakes, client: httpx.AsyncClient
) -> None:
    """Nor is it asked for among the caller's own."""
    body = {"rights": ["use"], "expiresAt": "2026-01-01T02:00:00.123+02:00"}
    answer = await client.put(PATH, json=body, headers={"If-Match": '"2"'})
    assert answer.status_code == 200
    assert answer.json() == {**SHOWN, "rights": ["use"], "expiresAt": SHOWN_STAMP}
    asked = fakes.shares.calls.last("PutShare")
    assert (asked.organization_id, asked.receiver_id, asked.if_revision) == (ORG, OTHER, 2)
    assert (list(asked.rights), asked.expire_time) == ([USE], STAMP)


async def test_without_a_condition_there_is_none(fakes: Fakes, client: httpx.AsyncClient) -> None:
    assert (await client.put(PATH, json={"rights": ["read"]})).status_code == 200
    asked = fakes.shares.calls.last("PutShare")
    assert not asked.HasField("if_revision")
    assert not asked.HasField("expire_time")
    assert (await client.delete(PATH)).status_code == 204
    assert not fakes.shares.calls.last("DeleteShare").HasField("if_revision")


async def test_what_was_changed_meanwhile_is_412(fakes: Fakes, client: httpx.AsyncClient) -> None:
    fakes.shares.calls.refusals["DeleteShare"] = RevisionMismatch(4)
    answer = await client.delete(PATH, headers={"If-Match": '"3"'})
    assert (answer.status_code, answer.json()["code"]) == (412, "REVISION_MISMATCH")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"rights": []},
        {"rights": "use"},
        {"rights": ["write"]},
        {"rights": [1]},
        {"rights": ["use"], "expiresAt": "soon"},
        {"rights": ["use"], "expiresAt": 7},
        {"rights": ["use"], "expiresAt": "0001-01-01T00:00:00+14:00"},
    ],
)
async def test_a_body_that_means_nothing_is_refused(
    client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    assert (await client.put(PATH, json=body)).status_code == 400


async def test_a_shared_snapshot_says_by_whom_and_for_what(
    fakes: Fakes, client: httpx.AsyncClient
) -> None:
    shared = a_snapshot(organization_id=OTHER, shared_by=OTHER, share_rights=[READ, USE])
    fakes.snapshots.snapshots = [shared]
    told = (await client.get("/snapshots/base")).json()
    assert (told["sharedBy"], told["shareRights"]) == (OTHER, ["read", "use"])
