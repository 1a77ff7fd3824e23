"""Making, showing, moving and ending organizations."""

import asyncio

import pytest

from ratoon.orgs.v1 import member_service_pb2 as member_pb
from ratoon.orgs.v1 import organization_service_pb2 as pb
from tests.integration.orgs.conftest import House, outcome, refusal

UNKNOWN = "00000000-0000-4000-8000-00000000dead"


async def test_the_creator_is_the_only_owner(house: House) -> None:
    user_id, _ = await house.person()
    made = await house.create(user_id, "Ünternehmen & Söhne")
    assert (made.name, made.personal, made.created_by) == ("Ünternehmen & Söhne", False, user_id)
    assert made.default_region_id == "us"
    assert made.create_time == made.update_time
    assert await house.get(user_id, made.id) == made
    assert [o.id for o in await house.list_of(user_id)][1:] == [made.id]
    answer = await house.members.ListMembers(
        member_pb.ListMembersRequest(organization_id=made.id),
        metadata=house.as_user(user_id, made.id, "owner"),
    )
    assert [m.user_id for m in answer.members] == [user_id]
    assert [t for t, _ in await house.events(made.id)] == [
        "organization_created",
        "membership_changed",
    ]


@pytest.mark.parametrize(
    "name",
    ["", " \t", "x" * 256, "a\x00b", "<b>bold", "see https://example.com", "www.example.com"],
)
async def test_a_name_that_is_not_safe_to_show_is_refused(house: House, name: str) -> None:
    user_id, _ = await house.person()
    refused = await refusal(house.create(user_id, name))
    assert refused == ("INVALID_ARGUMENT", "ORGANIZATION_NAME_INVALID")


async def test_an_unverified_address_makes_no_organization(house: House) -> None:
    user_id, _ = await house.person()
    call = house.organizations.CreateOrganization(
        pb.CreateOrganizationRequest(name="Shop", default_region_id="us"),
        metadata=house.as_user(user_id, email_verified=False),
    )
    assert await refusal(call) == ("PERMISSION_DENIED", "EMAIL_NOT_VERIFIED")


@pytest.mark.parametrize("region", ["", "nowhere", "u\x00s", "dedicated-1", "custom-1"])
async def test_only_a_shared_region_will_do(house: House, region: str) -> None:
    user_id, personal = await house.person()
    await house.database.pool.execute(
        "INSERT INTO regions (id, name, organization_id, type, enforce_quotas) VALUES"
        " ('dedicated-1', 'd', NULL, 'dedicated', false),"
        " ('custom-1', 'c', $1, 'custom', false) ON CONFLICT DO NOTHING",
        personal,
    )
    create = house.organizations.CreateOrganization(
        pb.CreateOrganizationRequest(name="Shop", default_region_id=region),
        metadata=house.as_user(user_id),
    )
    assert await refusal(create) == ("NOT_FOUND", "REGION_NOT_FOUND")
    change = house.organizations.SetDefaultRegion(
        pb.SetDefaultRegionRequest(organization_id=personal, region_id=region),
        metadata=house.as_user(user_id, personal, "owner"),
    )
    assert await refusal(change) == ("NOT_FOUND", "REGION_NOT_FOUND")


async def test_ten_at_once_for_the_tenth_place_give_one(house: House) -> None:
    user_id, _ = await house.person()
    for _ in range(8):
        await house.create(user_id)
    outcomes = await asyncio.gather(*(outcome(house.create(user_id)) for _ in range(10)))
    assert sorted(outcomes) == ["ORGANIZATION_LIMIT_REACHED"] * 9 + ["ok"]
    assert len(await house.list_of(user_id)) == 10


async def test_a_deleted_organization_frees_its_place(house: House) -> None:
    user_id, _ = await house.person()
    made = [await house.create(user_id) for _ in range(9)]
    assert await outcome(house.create(user_id)) == "ORGANIZATION_LIMIT_REACHED"
    await house.delete(user_id, made[0].id)
    assert await outcome(house.create(user_id)) == "ok"


async def test_one_idempotency_key_makes_one_organization(house: House) -> None:
    user_id, _ = await house.person()
    made = await asyncio.gather(*(house.create(user_id, key="k") for _ in range(8)))
    assert len({o.SerializeToString() for o in made}) == 1
    assert len(await house.list_of(user_id)) == 2
    refused = await refusal(house.create(user_id, "Other", key="k"))
    assert refused == ("ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED")
    stranger, _ = await house.person()
    assert (await house.create(stranger, key="k")).id != made[0].id


async def test_the_list_is_ordered_and_what_a_key_may_see(house: House) -> None:
    user_id, personal = await house.person()
    made = [(await house.create(user_id, f"n{i}")).id for i in range(3)]
    assert [o.id for o in await house.list_of(user_id)] == [personal, *made]
    request = pb.ListOrganizationsRequest()
    for more, seen in (
        ({"credential": "api_key", "account_key": True}, [personal, *made]),
        ({"credential": "api_key"}, [made[1]]),
    ):
        caller = house.as_user(user_id, made[1], "owner", **more)
        answer = await house.organizations.ListOrganizations(request, metadata=caller)
        assert [o.id for o in answer.organizations] == seen


async def test_a_key_of_one_organization_makes_none(house: House) -> None:
    user_id, personal = await house.person()
    call = house.organizations.CreateOrganization(
        pb.CreateOrganizationRequest(name="Shop", default_region_id="us"),
        metadata=house.as_user(user_id, personal, "owner", credential="api_key"),
    )
    assert await refusal(call) == ("PERMISSION_DENIED", "ACCOUNT_KEY_REQUIRED")


@pytest.mark.parametrize("id_", [UNKNOWN, "abc", "a\x00b"])
async def test_what_is_unknown_is_forbidden(house: House, id_: str) -> None:
    user_id, _ = await house.person()
    owner = house.as_user(user_id, id_, "owner")
    stubs = house.organizations
    for call in (
        stubs.GetOrganization(pb.GetOrganizationRequest(organization_id=id_), metadata=owner),
        stubs.DeleteOrganization(pb.DeleteOrganizationRequest(organization_id=id_), metadata=owner),
        stubs.LeaveOrganization(pb.LeaveOrganizationRequest(organization_id=id_), metadata=owner),
        stubs.SetDefaultRegion(
            pb.SetDefaultRegionRequest(organization_id=id_, region_id="us"), metadata=owner
        ),
        house.members.ListMembers(
            member_pb.ListMembersRequest(organization_id=id_), metadata=owner
        ),
    ):
        assert await refusal(call) == ("PERMISSION_DENIED", "ORGANIZATION_FORBIDDEN")


async def test_somebody_elses_is_forbidden_whatever_the_token_says(house: House) -> None:
    user_id, _ = await house.person()
    stranger, _ = await house.person()
    made = await house.create(user_id)
    forbidden = ("PERMISSION_DENIED", "ORGANIZATION_FORBIDDEN")
    assert await refusal(house.get(stranger, made.id)) == forbidden
    assert await refusal(house.delete(stranger, made.id)) == forbidden
    assert await refusal(house.leave(stranger, made.id)) == forbidden
    await house.join(stranger, made.id)
    assert (await house.get(stranger, made.id)).id == made.id
    assert await refusal(house.delete(stranger, made.id)) == ("PERMISSION_DENIED", "OWNER_REQUIRED")


async def test_an_owner_changes_the_default_region(house: House) -> None:
    user_id, _ = await house.person()
    made = await house.create(user_id)
    await house.database.pool.execute(
        "INSERT INTO regions (id, name, type, enforce_quotas) VALUES ('eu', 'eu', 'shared', false)"
    )
    for region in ("eu", "us", "eu"):
        await house.organizations.SetDefaultRegion(
            pb.SetDefaultRegionRequest(organization_id=made.id, region_id=region),
            metadata=house.as_user(user_id, made.id, "owner"),
        )
        assert (await house.get(user_id, made.id)).default_region_id == region
    after = await house.get(user_id, made.id)
    assert after.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    assert after.create_time == made.create_time
    told, audited = (await house.events(made.id))[-2:]
    assert told == (
        "organization_changed",
        {"organization_id": made.id, "fields": ["defaultRegionId"]},
    )
    assert audited[1] == {
        "action": "update",
        "target_type": "organization",
        "target_id": made.id,
        "metadata": '{"body": {"defaultRegionId": "eu"}}',
    }
    assert after.revision == made.revision + 3


async def test_a_deleted_organization_is_unknown_at_once(house: House) -> None:
    user_id, _ = await house.person()
    colleague, _ = await house.person()
    made = await house.create(user_id)
    await house.join(colleague, made.id)
    await house.assign(colleague, made.id, "00000000-0000-0000-0000-000000000001")
    await house.database.pool.execute(
        "INSERT INTO roles (id, organization_id, name, description, permissions)"
        " VALUES (gen_random_uuid(), $1, 'own', '', '{}')",
        made.id,
    )
    await house.delete(user_id, made.id)
    forbidden = ("PERMISSION_DENIED", "ORGANIZATION_FORBIDDEN")
    assert await refusal(house.get(user_id, made.id)) == forbidden
    assert await refusal(house.delete(user_id, made.id)) == forbidden
    assert await refusal(house.resolve(colleague, made.id)) == ("NOT_FOUND", "NOT_A_MEMBER")
    assert await refusal(house.limits(made.id)) == ("NOT_FOUND", "ORGANIZATION_NOT_FOUND")
    announced = (await house.events(made.id))[2:]
    ended = [p["user_id"] for t, p in announced if t == "membership_ended"]
    assert ended == sorted([user_id, colleague])
    assert announced[0] == ("organization_deleted", {"organization_id": made.id})


async def test_a_personal_organization_stays(house: House) -> None:
    user_id, personal = await house.person()
    assert await refusal(house.delete(user_id, personal)) == (
        "PERMISSION_DENIED",
        "ORGANIZATION_PERSONAL",
    )
    assert await refusal(house.leave(user_id, personal)) == ("PERMISSION_DENIED", "LAST_OWNER")
    assert len(await house.list_of(user_id)) == 1
