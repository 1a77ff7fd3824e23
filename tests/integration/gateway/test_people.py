"""Members, roles and invitations over HTTP: what is asked of orgs, and how its answers look."""

from typing import Any

import httpx
import pytest

from chassis.errors import Kind, Refusal
from chassis.revisions import RevisionMismatch
from ratoon.access.v1.access_pb2 import ORGANIZATION_ROLE_MEMBER, ORGANIZATION_ROLE_OWNER
from ratoon.orgs.v1 import invitation_service_pb2, member_service_pb2, role_service_pb2
from tests.gateway_fakes import (
    ACCOUNT,
    KEY,
    ORG,
    OWNER,
    READER,
    SHOWN_STAMP,
    USER,
    VIEWER,
    Fakes,
    an_invitation,
)
from tests.integration.gateway.conftest import Served, client_of

HOME = f"/organizations/{ORG}"
ROLE = {
    "id": "r",
    "name": "Developer",
    "description": "",
    "permissions": ["write:sandboxes"],
    "isGlobal": False,
    "createdAt": SHOWN_STAMP,
    "updatedAt": SHOWN_STAMP,
}
MEMBER = {
    "userId": USER,
    "organizationId": ORG,
    "name": "",
    "email": "",
    "role": "owner",
    "assignedRoles": [ROLE],
    "createdAt": SHOWN_STAMP,
    "updatedAt": SHOWN_STAMP,
    "serviceAccount": False,
}
INVITATION = {
    "id": "i",
    "email": "guest@example.com",
    "invitedBy": "ada@example.com",
    "organizationId": ORG,
    "organizationName": "Shop",
    "expiresAt": SHOWN_STAMP,
    "status": "pending",
    "role": "member",
    "assignedRoles": [ROLE],
    "createdAt": SHOWN_STAMP,
    "updatedAt": SHOWN_STAMP,
}
NEW_ROLE = {"name": "n", "description": "d", "permissions": ["write:images"]}
NEW_INVITATION = {"email": "Guest@Example.com", "role": "owner", "assignedRoleIds": ["r"]}


async def test_roles(fakes: Fakes, client: httpx.AsyncClient) -> None:
    listed = await client.get(f"{HOME}/roles")
    assert [r["isGlobal"] for r in listed.json()] == [True, False]
    got = await client.get(f"{HOME}/roles/r")
    assert (got.status_code, got.json(), got.headers["etag"]) == (200, ROLE, '"3"')
    made = await client.post(f"{HOME}/roles", json=NEW_ROLE, headers={"Idempotency-Key": "k"})
    assert (made.status_code, made.json()["name"], made.headers["etag"]) == (201, "n", '"3"')
    assert fakes.people.calls.last("CreateRole") == role_service_pb2.CreateRoleRequest(
        organization_id=ORG,
        name="n",
        description="d",
        permissions=["write:images"],
        request_id="k",
    )
    put = await client.put(f"{HOME}/roles/r", json=NEW_ROLE, headers={"If-Match": '"3"'})
    assert (put.status_code, put.json()["name"], put.headers["etag"]) == (200, "n", '"3"')
    assert fakes.people.calls.last("UpdateRole").if_revision == 3
    gone = await client.delete(f"{HOME}/roles/r")
    assert (gone.status_code, gone.content) == (204, b"")
    asked = role_service_pb2.DeleteRoleRequest(organization_id=ORG, role_id="r")
    assert fakes.people.calls.last("DeleteRole") == asked


async def test_members(fakes: Fakes, client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{HOME}/users")).json() == [MEMBER]
    got = await client.get(f"{HOME}/users/auth0%7Cada")
    assert (got.json(), got.headers["etag"]) == (MEMBER, '"4"')
    access = {"role": "member", "assignedRoleIds": ["r", "s"]}
    put = await client.post(f"{HOME}/users/vera/access", json=access, headers={"If-Match": "*"})
    assert (put.status_code, put.json()["role"], put.headers["etag"]) == (200, "member", '"4"')
    assert fakes.people.calls.last(
        "UpdateMemberAccess"
    ) == member_service_pb2.UpdateMemberAccessRequest(
        organization_id=ORG, user_id="vera", role=ORGANIZATION_ROLE_MEMBER, role_ids=["r", "s"]
    )
    gone = await client.delete(f"{HOME}/users/vera", headers={"If-Match": '"4"'})
    assert (gone.status_code, gone.content) == (204, b"")
    asked = member_service_pb2.RemoveMemberRequest(
        organization_id=ORG, user_id="vera", if_revision=4
    )
    assert fakes.people.calls.last("RemoveMember") == asked


async def test_an_account_for_programs(fakes: Fakes, client: httpx.AsyncClient) -> None:
    body = {"name": "ci", "assignedRoleIds": ["r"]}
    sent = {"Idempotency-Key": "k"}
    made = await client.post(f"{HOME}/service-accounts", json=body, headers=sent)
    assert (made.status_code, made.headers["etag"]) == (201, '"4"')
    assert (made.json()["serviceAccount"], made.json()["name"]) == (True, "ci")
    assert fakes.people.calls.last(
        "CreateServiceAccount"
    ) == member_service_pb2.CreateServiceAccountRequest(
        organization_id=ORG, name="ci", role_ids=["r"], request_id="k"
    )
    made = await client.post(f"{HOME}/service-accounts", json={"name": "ci"})
    assert made.status_code == 201


async def test_invitations_of_an_organization(fakes: Fakes, client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{HOME}/invitations")).json() == [INVITATION]
    body = NEW_INVITATION | {"expiresAt": "2030-01-01T00:00:00Z"}
    sent = {"Idempotency-Key": "k"}
    made = await client.post(f"{HOME}/invitations", json=body, headers=sent)
    assert (made.status_code, made.json(), made.headers["etag"]) == (201, INVITATION, '"5"')
    asked = fakes.people.calls.last("CreateInvitation")
    assert (asked.email, asked.role, asked.request_id) == (
        "Guest@Example.com",
        ORGANIZATION_ROLE_OWNER,
        "k",
    )
    assert (asked.role_ids, asked.expire_time.seconds) == (["r"], 1_893_456_000)
    body = {"role": "member", "assignedRoleIds": []}
    put = await client.put(f"{HOME}/invitations/i", json=body, headers={"If-Match": '"5"'})
    assert (put.status_code, put.json(), put.headers["etag"]) == (200, INVITATION, '"5"')
    assert fakes.people.calls.last(
        "UpdateInvitation"
    ) == invitation_service_pb2.UpdateInvitationRequest(
        organization_id=ORG, invitation_id="i", role=ORGANIZATION_ROLE_MEMBER, if_revision=5
    )
    again = await client.post(f"{HOME}/invitations/i/resend")
    assert (again.status_code, again.json()) == (200, INVITATION)
    gone = await client.post(f"{HOME}/invitations/i/cancel")
    assert (gone.status_code, gone.content) == (204, b"")
    asked = invitation_service_pb2.CancelInvitationRequest(organization_id=ORG, invitation_id="i")
    assert fakes.people.calls.last("CancelInvitation") == asked


async def test_a_link_is_shown_if_there_is_one(fakes: Fakes, client: httpx.AsyncClient) -> None:
    fakes.people.invitation = an_invitation(link="https://x/user/invitations?id=i")
    (shown,) = (await client.get(f"{HOME}/invitations")).json()
    assert shown == INVITATION | {"link": "https://x/user/invitations?id=i"}


@pytest.mark.parametrize("credential", [OWNER, ACCOUNT])
async def test_own_invitations(served: Served, fakes: Fakes, credential: str) -> None:
    async with client_of(served[1], credential) as client:
        assert (await client.get("/organizations/invitations")).json() == [INVITATION]
        count = await client.get("/organizations/invitations/count")
        assert (count.content, count.headers["content-type"]) == (b"1", "application/json")
        accepted = await client.post("/organizations/invitations/i/accept")
        assert (accepted.status_code, accepted.json()) == (200, INVITATION | {"status": "accepted"})
        declined = await client.post("/organizations/invitations/i/decline")
        assert (declined.status_code, declined.content) == (200, b"")
    asked = invitation_service_pb2.DeclineInvitationRequest(invitation_id="i")
    assert fakes.people.calls.last("DeclineInvitation") == asked


@pytest.mark.parametrize(("path", "rpc"), [
    ("users", "ListMembers"), ("roles", "ListRoles"), ("invitations", "ListInvitations"),
])  # fmt: skip
async def test_lists_are_walked_page_by_page(
    fakes: Fakes, client: httpx.AsyncClient, path: str, rpc: str
) -> None:
    assert "x-next-page-token" not in (await client.get(f"{HOME}/{path}")).headers
    fakes.people.next_page_token = "further"
    sent = {"X-Page-Size": "2", "X-Page-Token": "here"}
    answer = await client.get(f"{HOME}/{path}", headers=sent)
    assert answer.headers["x-next-page-token"] == "further"
    asked = fakes.people.calls.last(rpc)
    assert (asked.organization_id, asked.page_size, asked.page_token) == (ORG, 2, "here")
    for size in ("-1", "1001", "x"):
        answer = await client.get(f"{HOME}/{path}", headers={"X-Page-Size": size})
        assert (answer.status_code, answer.json()["code"]) == (400, "PAGE_SIZE_INVALID")


@pytest.mark.parametrize(
    ("method", "path", "rpc", "body"),
    [
        ("PUT", "roles/r", "UpdateRole", NEW_ROLE),
        ("DELETE", "roles/r", "DeleteRole", None),
        ("POST", "users/u/access", "UpdateMemberAccess", {"role": "owner", "assignedRoleIds": []}),
        ("DELETE", "users/u", "RemoveMember", None),
        ("PUT", "invitations/i", "UpdateInvitation", {"role": "owner", "assignedRoleIds": []}),
        ("POST", "invitations/i/cancel", "CancelInvitation", None),
    ],
)
async def test_a_change_may_be_made_on_condition(
    fakes: Fakes, client: httpx.AsyncClient, method: str, path: str, rpc: str, body: Any
) -> None:
    async def change(etag: str) -> httpx.Response:
        return await client.request(method, f"{HOME}/{path}", json=body, headers={"If-Match": etag})

    assert (await change('"7"')).is_success
    assert fakes.people.calls.last(rpc).if_revision == 7
    answer = await change('W/"7"')
    assert (answer.status_code, answer.json()["code"]) == (400, "IF_MATCH_INVALID")
    fakes.people.calls.refusals[rpc] = RevisionMismatch(8)
    answer = await change('"7"')
    assert (answer.status_code, answer.json()["code"]) == (412, "REVISION_MISMATCH")


class RoleAssigned(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "ROLE_ASSIGNED"


class MailTooSoon(Refusal):
    kind, reason = Kind.RESOURCE_EXHAUSTED, "MAIL_TOO_SOON"


async def test_refusals_have_five_fields_and_a_code(
    fakes: Fakes, client: httpx.AsyncClient
) -> None:
    refusals = fakes.people.calls.refusals
    refusals["DeleteRole"] = RoleAssigned("it is assigned: members u", members="u")
    refusals["ResendInvitation"] = MailTooSoon("a minute ago")
    refused = await client.delete(f"{HOME}/roles/r")
    said = refused.json()
    assert (refused.status_code, said["code"]) == (409, "ROLE_ASSIGNED")
    assert said["message"] == "it is assigned: members u"
    assert {"path", "timestamp", "statusCode", "error", "message"} <= set(said)
    refused = await client.post(f"{HOME}/invitations/i/resend")
    assert (refused.status_code, refused.json()["code"]) == (429, "MAIL_TOO_SOON")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("roles", NEW_ROLE | {"permissions": []}),
        ("roles", NEW_ROLE | {"permissions": "write:sandboxes"}),
        ("roles", {"name": "n", "permissions": ["write:sandboxes"]}),
        ("users/u/access", {"role": "admin", "assignedRoleIds": []}),
        ("users/u/access", {"role": "owner"}),
        ("users/u/access", {"assignedRoleIds": []}),
        ("invitations", NEW_INVITATION | {"role": "admin"}),
        ("invitations", {"email": "a@b.c", "role": "owner"}),
        ("invitations", NEW_INVITATION | {"expiresAt": "soon"}),
        ("invitations", {"role": "owner", "assignedRoleIds": []}),
        ("service-accounts", {"name": ""}),
    ],
)
async def test_what_is_not_understood(client: httpx.AsyncClient, path: str, body: Any) -> None:
    answer = await client.post(f"{HOME}/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "REQUEST_INVALID")


@pytest.mark.parametrize(
    ("method", "path", "credential", "expected"),
    [
        ("GET", "roles", VIEWER, 200),
        ("GET", "roles/r", READER, 200),
        ("POST", "roles", VIEWER, 403),
        ("POST", "roles", READER, 403),
        ("POST", "roles", KEY, 400),
        ("PUT", "roles/r", VIEWER, 403),
        ("DELETE", "roles/r", READER, 403),
        ("GET", "users", VIEWER, 200),
        ("GET", "users/u", VIEWER, 200),
        ("GET", "users/u", READER, 403),
        ("POST", "users/u/access", VIEWER, 403),
        ("POST", "users/u/access", READER, 403),
        ("DELETE", "users/u", VIEWER, 403),
        ("POST", "service-accounts", VIEWER, 403),
        ("POST", "service-accounts", READER, 403),
        ("GET", "invitations", VIEWER, 403),
        ("GET", "invitations", READER, 403),
        ("GET", "invitations", KEY, 200),
        ("POST", "invitations", VIEWER, 403),
        ("PUT", "invitations/i", VIEWER, 403),
        ("POST", "invitations/i/cancel", READER, 403),
        ("POST", "invitations/i/resend", VIEWER, 403),
        ("POST", "invitations", "", 401),
        ("GET", "roles", "", 401),
    ],
)
async def test_who_may(
    served: Served, method: str, path: str, credential: str, expected: int
) -> None:
    async with client_of(served[1], credential) as client:
        answer = await client.request(method, f"{HOME}/{path}", content=b"[")
    assert answer.status_code == expected


@pytest.mark.parametrize("path", ["", "/count", "/i/accept", "/i/decline"])
async def test_a_key_of_one_organization_has_no_invitations(served: Served, path: str) -> None:
    async with client_of(served[1], KEY) as client:
        method = "POST" if path.startswith("/i") else "GET"
        answer = await client.request(method, f"/organizations/invitations{path}")
    assert (answer.status_code, answer.json()["code"]) == (403, "ACCOUNT_KEY_REQUIRED")
