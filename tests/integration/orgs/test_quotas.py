"""What organizations may use: changed by administrators of the installation, seen by members and neighbours."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from ratoon.orgs.v1 import organization_service_pb2 as pb
from tests.integration.orgs.conftest import House, outcome, refusal

NOBODYS = ("abc", "", "00000000-0000-4000-8000-00000000dead", "a\x00b")


async def _set(house: House, id_: str, **asked: Any) -> None:
    request = pb.UpdateQuotaRequest(organization_id=id_, **asked)
    await house.organizations.UpdateQuota(request, metadata=house.as_admin())


def _share(id_: str, region: str = "us", **more: Any) -> pb.RegionQuota:
    amounts = {"total_cpu_quota": 10, "total_memory_quota": 20, "total_disk_quota": 30}
    return pb.RegionQuota(organization_id=id_, region_id=region, **{**amounts, **more})


async def _grant(
    house: House, quota: pb.RegionQuota, sandbox_class: str = "container"
) -> pb.RegionQuota:
    request = pb.CreateRegionQuotaRequest(quota=quota, sandbox_class=sandbox_class)
    answer = await house.organizations.CreateRegionQuota(request, metadata=house.as_admin())
    return answer.quota


async def _change(house: House, id_: str, region: str = "us", **asked: Any) -> None:
    request = pb.UpdateRegionQuotaRequest(organization_id=id_, region_id=region, **asked)
    await house.organizations.UpdateRegionQuota(request, metadata=house.as_admin())


async def _shown(
    house: House, id_: str, region: str = "us", sandbox_class: str = "container"
) -> pb.RegionQuota:
    request = pb.GetRegionQuotaRequest(
        organization_id=id_, region_id=region, sandbox_class=sandbox_class
    )
    answer = await house.organizations.GetRegionQuota(request, metadata=house.as_admin())
    return answer.quota


async def _take(
    house: House, id_: str, region: str = "us", sandbox_class: str = "container"
) -> None:
    request = pb.DeleteRegionQuotaRequest(
        organization_id=id_, region_id=region, sandbox_class=sandbox_class
    )
    await house.organizations.DeleteRegionQuota(request, metadata=house.as_admin())


async def _quotas(house: House, user_id: str, id_: str, **more: Any) -> pb.GetQuotasResponse:
    return await house.organizations.GetQuotas(
        pb.GetQuotasRequest(organization_id=id_),
        metadata=house.as_user(user_id, id_, "member", **more),
    )


async def test_what_is_not_said_stays(house: House) -> None:
    owner, personal = await house.person()
    await _set(
        house,
        personal,
        snapshot_quota=5,
        volume_quota=0,
        authenticated_rate_limit=100,
        sandbox_create_rate_limit_ttl_seconds=60,
        max_concurrent_snapshot_processing=-1,
        secret_quota=4,
        max_secrets_per_sandbox=2,
    )
    seen = (await house.get(owner, personal)).limits
    assert (seen.snapshot_quota, seen.volume_quota, seen.max_cpu_per_sandbox) == (5, 0, 4)
    assert (seen.authenticated_rate_limit, seen.max_concurrent_snapshot_processing) == (100, -1)
    assert (seen.secret_quota, seen.max_secrets_per_sandbox) == (4, 2)
    limits = await house.limits(personal)
    assert (limits.limits, limits.revision) == (seen, 2)
    assert (await _quotas(house, owner, personal)).limits == seen
    fields, said = await house.told(personal)
    assert set(fields) == set(said) - {"action"}
    assert (said["action"], said["snapshotQuota"]) == ("update_quota", 5)
    await _set(house, personal, cleared=["authenticated_rate_limit"], snapshot_quota=6)
    seen = (await house.get(owner, personal)).limits
    assert not seen.HasField("authenticated_rate_limit")
    assert (seen.sandbox_create_rate_limit_ttl_seconds, seen.snapshot_quota) == (60, 6)
    assert (await house.told(personal))[1]["authenticatedRateLimit"] is None
    await _set(house, personal)
    assert (await house.limits(personal)).revision == 3


@pytest.mark.parametrize(
    "asked",
    [
        {"snapshot_quota": -1},
        {"max_cpu_per_sandbox": -1},
        {"snapshot_deactivation_timeout_minutes": -1},
        {"authenticated_rate_limit": 0},
        {"sandbox_lifecycle_rate_limit_ttl_seconds": 0},
        {"cleared": ["snapshot_quota"]},
        {"cleared": ["name"]},
        {"cleared": ["authenticated_rate_limit"], "authenticated_rate_limit": 5},
    ],
)
async def test_a_quota_that_is_none(house: House, asked: dict[str, Any]) -> None:
    _, personal = await house.person()
    before = await house.limits(personal)
    refused = await refusal(_set(house, personal, **asked))
    assert refused == ("INVALID_ARGUMENT", "QUOTA_INVALID")
    assert await house.limits(personal) == before


@pytest.mark.parametrize("id_", NOBODYS)
async def test_there_is_no_such_organization(house: House, id_: str) -> None:
    gone = ("NOT_FOUND", "ORGANIZATION_NOT_FOUND")
    assert await refusal(_set(house, id_, snapshot_quota=5)) == gone
    assert await refusal(_grant(house, _share(id_))) == gone
    assert await refusal(_change(house, id_)) == gone
    assert await refusal(_shown(house, id_)) == gone
    assert await refusal(_take(house, id_)) == gone


async def test_a_share_is_granted_changed_and_taken(enforcing: House) -> None:
    house = enforcing
    owner, personal = await house.person()
    await house.database.pool.execute(
        "INSERT INTO regions (id, name, type, enforce_quotas) VALUES ('far', 'far', 'shared', true)"
    )
    assert await outcome(_change(house, personal, "far")) == "REGION_QUOTA_NOT_FOUND"
    assert await outcome(_take(house, personal, "far")) == "REGION_QUOTA_NOT_FOUND"
    made = await _grant(house, _share(personal, "far", max_cpu_per_sandbox=2))
    assert (made.total_disk_quota, made.total_gpu_quota, made.max_cpu_per_sandbox) == (30, 0, 2)
    assert not made.HasField("max_disk_per_non_ephemeral_sandbox")
    assert await _shown(house, personal, "far") == made
    assert (await house.told(personal)) == (
        ["regionUsage"],
        {
            "action": "create_region_quota",
            "regionId": "far",
            "totalCpuQuota": 10,
            "totalMemoryQuota": 20,
            "totalDiskQuota": 30,
            "totalGpuQuota": 0,
            "maxCpuPerSandbox": 2,
        },
    )
    again = await refusal(_grant(house, _share(personal, "far")))
    assert again == ("ALREADY_EXISTS", "REGION_QUOTA_EXISTS")
    await _change(
        house,
        personal,
        "far",
        total_cpu_quota=0,
        max_disk_per_non_ephemeral_sandbox=0,
        cleared=["max_cpu_per_sandbox"],
    )
    changed = await _shown(house, personal, "far")
    assert (changed.total_cpu_quota, changed.total_memory_quota) == (0, 20)
    assert not changed.HasField("max_cpu_per_sandbox")
    assert changed.HasField("max_disk_per_non_ephemeral_sandbox")
    assert changed.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    quotas = await _quotas(house, owner, personal)
    assert [(q.region_id, q.total_cpu_quota) for q in quotas.regions] == [("far", 0), ("us", 10)]
    limits = {r.region_id: r for r in (await house.limits(personal)).regions}
    assert limits["far"].available
    assert limits["far"].HasField("max_disk_per_non_ephemeral_sandbox")
    await _take(house, personal, "far")
    limits = {r.region_id: r for r in (await house.limits(personal)).regions}
    assert not limits["far"].available
    assert (await house.told(personal))[1] == {"action": "delete_region_quota", "regionId": "far"}
    assert (await house.limits(personal)).revision == 4


async def test_shares_are_of_regions_and_kinds_that_there_are(house: House) -> None:
    _, personal = await house.person()
    stranger = await house.create((await house.person())[0])
    await house.database.pool.execute(
        "INSERT INTO regions (id, name, organization_id, type, enforce_quotas)"
        " VALUES ('theirs', 'x', $1, 'custom', false)",
        stranger.id,
    )
    for region in ("nowhere", "", "a\x00b", "theirs"):
        refused = await refusal(_grant(house, _share(personal, region)))
        assert refused == ("NOT_FOUND", "REGION_NOT_FOUND")
    unknown = ("INVALID_ARGUMENT", "SANDBOX_CLASS_UNKNOWN")
    assert await refusal(_grant(house, _share(personal), "windows")) == unknown
    assert await refusal(_change(house, personal, sandbox_class="windows")) == unknown
    await _grant(house, _share(personal), "")
    for call in (
        _shown(house, personal, sandbox_class="windows"),
        _take(house, personal, sandbox_class="windows"),
        _shown(house, personal, "nowhere"),
        _shown(house, personal, "a\x00b"),
        _take(house, personal, "a\x00b"),
    ):
        assert await refusal(call) == ("NOT_FOUND", "REGION_QUOTA_NOT_FOUND")
    invalid = ("INVALID_ARGUMENT", "QUOTA_INVALID")
    assert await refusal(_grant(house, _share(personal, total_cpu_quota=-1))) == invalid
    assert await refusal(_change(house, personal, cleared=["total_cpu_quota"])) == invalid
    assert await refusal(_change(house, personal, max_cpu_per_sandbox=-1)) == invalid


async def test_members_see_quotas_and_keys_with_the_permission(house: House) -> None:
    owner, personal = await house.person()
    stranger, _ = await house.person()
    assert await outcome(_quotas(house, stranger, personal)) == "ORGANIZATION_FORBIDDEN"
    key: dict[str, Any] = {"credential": "api_key", "permissions": frozenset[str]()}
    assert await outcome(_quotas(house, owner, personal, **key)) == "PERMISSION_MISSING"
    key["permissions"] = frozenset({"read:limits"})
    assert (await _quotas(house, owner, personal, **key)).limits.snapshot_quota == 30


async def test_nobody_else_changes_a_quota(house: House) -> None:
    owner, personal = await house.person()
    me = house.as_user(owner, personal, "owner")
    o, id_ = house.organizations, personal
    for call in (
        o.UpdateQuota(pb.UpdateQuotaRequest(organization_id=id_), metadata=me),
        o.CreateRegionQuota(pb.CreateRegionQuotaRequest(quota=_share(id_)), metadata=me),
        o.UpdateRegionQuota(pb.UpdateRegionQuotaRequest(organization_id=id_), metadata=me),
        o.GetRegionQuota(pb.GetRegionQuotaRequest(organization_id=id_), metadata=me),
        o.DeleteRegionQuota(pb.DeleteRegionQuotaRequest(organization_id=id_), metadata=me),
        o.SuspendOrganization(pb.SuspendOrganizationRequest(organization_id=id_), metadata=me),
        o.UnsuspendOrganization(pb.UnsuspendOrganizationRequest(organization_id=id_), metadata=me),
        o.CreateOrganizationForUser(pb.CreateOrganizationForUserRequest(), metadata=me),
    ):
        assert await outcome(call) == "SYSTEM_ADMIN_REQUIRED"


@pytest.mark.parametrize("round_", range(3))
async def test_changes_at_once_are_all_counted(house: House, round_: int) -> None:
    _, personal = await house.person()
    await asyncio.gather(*(_set(house, personal, snapshot_quota=n) for n in range(12)))
    assert (await house.limits(personal)).revision == 13
    told = [p for t, p in await house.events(personal) if t == "audited"]
    assert len(told) == 12


async def test_an_administrator_makes_an_organization_for_somebody(house: House) -> None:
    owner, _ = await house.person(verified=False)
    request = pb.CreateOrganizationForUserRequest(
        user_id=owner, name="Shop", default_region_id="us", request_id=uuid4().hex
    )
    create = house.organizations.CreateOrganizationForUser
    made = (await create(request, metadata=house.as_admin())).organization
    assert (made.created_by, made.name, made.personal, made.revision) == (owner, "Shop", False, 1)
    assert (await house.resolve(owner, made.id)).organization_id == made.id
    again = (await create(request, metadata=house.as_admin())).organization
    assert again == made
    request.name = "Other"
    assert await outcome(create(request, metadata=house.as_admin())) == "IDEMPOTENCY_KEY_REUSED"
    request.request_id = ""
    for change, reason in (
        ({"user_id": "unknown"}, "USER_NOT_FOUND"),
        ({"user_id": "a\x00b"}, "USER_NOT_FOUND"),
        ({"user_id": ""}, "USER_NOT_FOUND"),
        ({"name": ""}, "ORGANIZATION_NAME_INVALID"),
        ({"default_region_id": "nowhere"}, "REGION_NOT_FOUND"),
    ):
        asked = pb.CreateOrganizationForUserRequest()
        asked.CopyFrom(request)
        asked.MergeFrom(pb.CreateOrganizationForUserRequest(**change))
        for field, value in change.items():
            setattr(asked, field, value)
        assert await outcome(create(asked, metadata=house.as_admin())) == reason
    assert not [t for t, _ in await house.events(made.id) if t == "audited"]


@pytest.mark.parametrize("round_", range(3))
async def test_the_cap_holds_whoever_makes_them_at_once(house: House, round_: int) -> None:
    owner, _ = await house.person()
    await asyncio.gather(*(house.create(owner, f"Shop {n}") for n in range(8)))
    request = pb.CreateOrganizationForUserRequest(
        user_id=owner, name="Shop", default_region_id="us"
    )
    create = house.organizations.CreateOrganizationForUser
    outcomes = await asyncio.gather(
        *(outcome(create(request, metadata=house.as_admin())) for _ in range(5)),
        *(outcome(house.create(owner, f"More {n}")) for n in range(5)),
    )
    assert sorted(outcomes) == ["ORGANIZATION_LIMIT_REACHED"] * 9 + ["ok"]
    assert len(await house.list_of(owner)) == 10


async def test_organizations_are_listed_by_pages(house: House) -> None:
    owner, _ = await house.person()
    for n in range(6):
        await house.create(owner, f"Shop {n}")
    whole = [o.id for o in await house.list_of(owner)]
    for size in (1, 2, 3, 7, 100):
        seen: list[str] = []
        request = pb.ListOrganizationsRequest(page_size=size)
        while True:
            answer = await house.organizations.ListOrganizations(
                request, metadata=house.as_user(owner)
            )
            assert len(answer.organizations) <= size
            seen += [o.id for o in answer.organizations]
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
        assert seen == whole
    for token in ("x", "W10", "WzEsIngiXQ", "WyJhIiwxXQ"):
        request = pb.ListOrganizationsRequest(page_token=token)
        call = house.organizations.ListOrganizations(request, metadata=house.as_user(owner))
        assert await refusal(call) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")
