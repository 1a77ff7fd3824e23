"""People of an organization in the whole system: invited, let in, given roles, held to them, and put out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx

from bench.system import System


@contextmanager
def somebody(system: System) -> Iterator[tuple[str, httpx.Client]]:
    """Give a new person's address, and a client with an account key of theirs."""
    email = f"{uuid4().hex}@example.com"
    found = re.search(r"dtn_[0-9a-f]{64}", system.ratoon("user", "add", email))
    assert found is not None
    headers = {"Authorization": f"Bearer {found[0]}"}
    with httpx.Client(base_url=system.url, headers=headers, timeout=30) as client:
        yield email, client


def until(client: httpx.Client, path: str, status: int) -> None:
    """Ask until the answer is what it must become at once, or nearly so."""
    for _ in range(500):
        if client.get(path).status_code == status:
            return
    raise AssertionError(f"{path} never answered {status}")


def test_from_the_invitation_to_the_end(system: System) -> None:
    owner, home = system.client, f"/organizations/{system.organization('people')}"
    with somebody(system) as (email, guest), somebody(system) as (_, other):
        role = owner.post(
            f"{home}/roles",
            json={"name": "R", "description": "", "permissions": ["manage:members"]},
        ).json()
        wanted = {"email": email.upper(), "role": "member", "assignedRoleIds": [role["id"]]}
        made = owner.post(f"{home}/invitations", json=wanted)
        assert made.status_code == 201, made.text
        invitation = made.json()
        assert invitation["link"] == (
            f"http://127.0.0.1:{system.port}/user/invitations?id={invitation['id']}"
        )
        assert owner.post(f"{home}/invitations", json=wanted).status_code == 409
        assert owner.delete(f"{home}/roles/{role['id']}").json()["code"] == "ROLE_ASSIGNED"
        assert guest.get("/organizations/invitations/count").json() == 1
        assert other.get("/organizations/invitations/count").json() == 0
        accept = f"/organizations/invitations/{invitation['id']}/accept"
        assert other.post(accept).status_code == 404
        assert guest.get(home).status_code == 403
        accepted = guest.post(accept)
        assert (accepted.status_code, accepted.json()["status"]) == (200, "accepted")
        assert guest.post(accept).json()["code"] == "INVITATION_NOT_PENDING"
        # The refusal of a moment ago was no answer to keep.
        until(guest, home, 200)
        until(guest, f"{home}/invitations", 200)

        members = owner.get(f"{home}/users").json()
        assert [m["role"] for m in members] == ["owner", "member"]
        path = f"{home}/users/{members[1]['userId']}"
        etag = owner.get(path).headers["etag"]
        less = {"name": "R", "description": "", "permissions": ["read:volumes"]}
        assert owner.put(f"{home}/roles/{role['id']}", json=less).status_code == 200
        until(guest, f"{home}/invitations", 403)

        promoted = owner.post(
            f"{path}/access",
            json={"role": "owner", "assignedRoleIds": []},
            headers={"If-Match": etag},
        )
        assert promoted.status_code == 200
        until(guest, f"{home}/invitations", 200)
        assert owner.delete(path, headers={"If-Match": etag}).status_code == 412
        assert guest.post(f"{home}/leave").status_code == 204
        until(guest, home, 403)
        assert owner.delete(f"{home}/roles/{role['id']}").status_code == 204
        assert owner.post(f"{home}/leave").json()["code"] == "LAST_OWNER"


def test_an_account_for_programs_is_a_member(system: System) -> None:
    owner, home = system.client, f"/organizations/{system.organization('accounts')}"
    sent = {"Idempotency-Key": uuid4().hex}
    made = [
        owner.post(f"{home}/service-accounts", json={"name": "ci"}, headers=sent) for _ in range(2)
    ]
    assert {m.status_code for m in made} == {201}
    account = made[0].json()
    assert made[1].json() == account
    first = owner.get(f"{home}/users", headers={"X-Page-Size": "1"})
    token = first.headers["x-next-page-token"]
    second = owner.get(f"{home}/users", headers={"X-Page-Size": "1", "X-Page-Token": token})
    assert second.json() == [account]
    assert "x-next-page-token" not in second.headers
    assert owner.delete(f"{home}/users/{account['userId']}").status_code == 204
