"""People: the caller, what is switched off, and what administrators of the installation do."""

from typing import Any

import httpx
import pytest

from ratoon.auth.v1 import user_service_pb2 as pb
from services.auth.domain.access import OrganizationsUnavailable
from services.auth.domain.users import LastAdmin
from services.orgs.domain.quotas import QuotaInvalid, RegionQuotaNotFound
from tests.gateway_fakes import ACCOUNT, ADMIN, KEY, OWNER, SHOWN_STAMP, USER, Fakes
from tests.integration.gateway.conftest import Served, client_of

ADMINISTRATION = [
    ("POST", "/admin/users"),
    ("GET", "/admin/users"),
    ("GET", "/admin/users/bob"),
    ("POST", "/admin/users/bob/regenerate-key-pair"),
    ("POST", "/admin/users/bob/disable"),
    ("POST", "/admin/users/bob/enable"),
]
SWITCHED_OFF = [
    ("GET", "/users/account-providers", "LINKED_ACCOUNTS_DISABLED"),
    ("POST", "/users/linked-accounts", "LINKED_ACCOUNTS_DISABLED"),
    ("DELETE", "/users/linked-accounts/github/1%2F2", "LINKED_ACCOUNTS_DISABLED"),
    ("POST", "/users/mfa/sms/enroll", "SMS_MFA_DISABLED"),
    ("POST", "/users/me/pending-sso-links/1/confirm", "PENDING_SSO_LINK_NOT_FOUND"),
    ("DELETE", "/users/me/pending-sso-links/1", "PENDING_SSO_LINK_NOT_FOUND"),
]


@pytest.mark.parametrize(("method", "path", "code"), SWITCHED_OFF)
async def test_what_is_switched_off_is_not_found(
    served: Served, method: str, path: str, code: str
) -> None:
    body = {"provider": "github", "userId": "1"} if path.endswith("accounts") else None
    for credential in (OWNER, ACCOUNT):
        async with client_of(served[1], credential) as client:
            answer = await client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, code)
    async with client_of(served[1], KEY) as client:
        answer = await client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "ACCOUNT_KEY_REQUIRED")
        anonymous = {"authorization": ""}
        assert (await client.request(method, path, headers=anonymous)).status_code == 401


async def test_no_identity_waits_to_be_linked(served: Served) -> None:
    async with client_of(served[1], OWNER) as client:
        answer = await client.get("/users/me/pending-sso-links")
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize(("method", "path"), ADMINISTRATION)
async def test_only_administrators_may_and_are_asked_first(
    served: Served, method: str, path: str
) -> None:
    for credential in (OWNER, ACCOUNT, KEY):
        async with client_of(served[1], credential) as client:
            answer = await client.request(method, path, content=b"{")
        assert (answer.status_code, answer.json()["code"]) == (403, "SYSTEM_ADMIN_REQUIRED")


@pytest.fixture
async def admin(served: Served) -> Any:
    async with client_of(served[1], ADMIN) as client:
        yield client


async def test_a_user_is_made(fakes: Fakes, admin: httpx.AsyncClient) -> None:
    body = {
        "id": "auth0|bob",
        "name": "Bob",
        "email": "bob@example.org",
        "emailVerified": True,
        "role": "admin",
        "personalOrganizationDefaultRegionId": "us",
        "unknown": 1,
    }
    answer = await admin.post("/admin/users", json=body)
    assert answer.status_code == 201
    assert answer.json() == {
        "id": "auth0|bob",
        "name": "Bob",
        "email": "bob@example.org",
        "emailVerified": False,
        "publicKeys": [],
        "createdAt": SHOWN_STAMP,
        "role": "admin",
        "disabledAt": None,
    }
    assert fakes.users.calls.last("CreateUser") == pb.CreateUserRequest(
        id="auth0|bob",
        name="Bob",
        email="bob@example.org",
        email_verified=True,
        system_admin=True,
        default_region_id="us",
    )
    await admin.post("/admin/users", json={"name": "Bob"})
    assert fakes.users.calls.last("CreateUser") == pb.CreateUserRequest(name="Bob")


async def test_nothing_is_made_in_a_region_that_is_not_there(
    fakes: Fakes, admin: httpx.AsyncClient
) -> None:
    body = {"name": "Bob", "personalOrganizationDefaultRegionId": "mars"}
    answer = await admin.post("/admin/users", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "REGION_NOT_FOUND")
    for wrong in ({}, {"name": ""}, {"name": "x", "role": "owner"}, {"name": "x", "id": 5}):
        answer = await admin.post("/admin/users", json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "REQUEST_INVALID")
    assert "CreateUser" not in fakes.users.calls.names()


async def test_the_quota_of_the_personal_organization_is_set(
    fakes: Fakes, admin: httpx.AsyncClient
) -> None:
    quota = {"snapshotQuota": 5, "maxCpuPerSandbox": 2.0}
    body = {"name": "Bob", "personalOrganizationQuota": quota}
    assert (await admin.post("/admin/users", json=body)).status_code == 201
    request = fakes.orgs.calls.last("UpdateQuota")
    assert (request.snapshot_quota, request.max_cpu_per_sandbox) == (5, 2)
    assert not request.HasField("volume_quota")
    assert "UpdateRegionQuota" not in fakes.orgs.calls.names()


@pytest.mark.parametrize(("named", "region"), [({}, "eu"), ({"RegionId": "us"}, "us")])
async def test_totals_are_those_of_the_default_region(
    fakes: Fakes, admin: httpx.AsyncClient, named: dict[str, str], region: str
) -> None:
    body: dict[str, object] = {"name": "Bob", "personalOrganizationQuota": {"totalCpuQuota": 10}}
    body |= {f"personalOrganizationDefault{name}": value for name, value in named.items()}
    assert (await admin.post("/admin/users", json=body)).status_code == 201
    request = fakes.orgs.calls.last("UpdateRegionQuota")
    assert (request.region_id, request.total_cpu_quota) == (region, 10)
    assert not request.HasField("total_disk_quota")


async def test_a_quota_that_could_not_be_set_is_said_and_set_by_the_same_request(
    fakes: Fakes, admin: httpx.AsyncClient
) -> None:
    fakes.orgs.calls.refusals["UpdateQuota"] = OrganizationsUnavailable("away")
    body = {"name": "Bob", "personalOrganizationQuota": {"snapshotQuota": 5}}
    headers = {"Idempotency-Key": "bob"}
    answer = await admin.post("/admin/users", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "QUOTA_NOT_SET")
    assert fakes.users.calls.last("CreateUser").request_id == "bob"
    fakes.orgs.calls.refusals.clear()
    answer = await admin.post("/admin/users", json=body, headers=headers)
    assert answer.status_code == 201
    assert fakes.orgs.calls.last("UpdateQuota").snapshot_quota == 5


async def test_where_no_quotas_are_enforced_totals_mean_nothing(
    fakes: Fakes, admin: httpx.AsyncClient
) -> None:
    fakes.orgs.calls.refusals["UpdateRegionQuota"] = RegionQuotaNotFound("no share")
    body = {"name": "Bob", "personalOrganizationQuota": {"totalCpuQuota": 10}}
    assert (await admin.post("/admin/users", json=body)).status_code == 201
    fakes.orgs.calls.refusals["UpdateRegionQuota"] = QuotaInvalid("not so")
    assert (await admin.post("/admin/users", json=body)).status_code == 400


async def test_people_are_listed_by_pages_without_private_keys(
    fakes: Fakes, admin: httpx.AsyncClient
) -> None:
    headers = {"X-Page-Size": "2", "X-Page-Token": "t"}
    answer = await admin.get("/admin/users", headers=headers)
    assert answer.headers["x-next-page-token"] == "next"
    assert fakes.users.calls.last("ListUsers") == pb.ListUsersRequest(page_size=2, page_token="t")
    ada, bob = answer.json()
    assert ada["publicKeys"] == [{"key": "ssh-ed25519 AAAA", "name": "generated"}]
    assert (ada["disabledAt"], bob["disabledAt"]) == (None, SHOWN_STAMP)
    assert (ada["role"], set(ada)) == ("user", set(bob))
    assert "privateKey" not in ada
    one = await admin.get("/admin/users/auth0%7Cada")
    assert (one.json()["id"], set(one.json())) == (USER, set(ada))


async def test_a_key_pair_is_shown_once(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/admin/users/bob/regenerate-key-pair")
    assert (answer.status_code, answer.json()["privateKey"]) == (201, "PRIVATE")
    assert answer.json()["publicKeys"][0]["key"] == "ssh-ed25519 AAAA"


async def test_people_are_disabled_and_enabled(fakes: Fakes, admin: httpx.AsyncClient) -> None:
    for path, disabled in (("disable", True), ("enable", False)):
        answer = await admin.post(f"/admin/users/auth0%7Cada/{path}")
        assert (answer.status_code, answer.content) == (204, b"")
        expected = pb.SetUserDisabledRequest(user_id=USER, disabled=disabled)
        assert fakes.users.calls.last("SetUserDisabled") == expected
    fakes.users.calls.refusals["SetUserDisabled"] = LastAdmin("nobody would be left")
    answer = await admin.post("/admin/users/ratoon-admin/disable")
    assert (answer.status_code, answer.json()["code"]) == (400, "LAST_ADMIN")
