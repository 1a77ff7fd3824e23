"""Regions, what an organization may do in them, and the limits that other contexts ask for."""

from pathlib import Path
from typing import Any

import pytest

from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1 import region_pb2
from ratoon.orgs.v1 import region_service_pb2 as region_pb
from services.orgs.commands.regions import RegionIdTaken
from services.orgs.serving import provide_default_region
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.orgs.conftest import House, a_house, refusal


async def _region(house: House, id_: str, type_: str, **more: Any) -> None:
    await house.database.pool.execute(
        "INSERT INTO regions (id, name, type, organization_id, enforce_quotas, proxy_url)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        id_,
        more.get("name", id_),
        type_,
        more.get("organization_id"),
        more.get("enforce", False),
        more.get("proxy_url"),
    )


async def _grant(house: House, organization_id: str, region_id: str) -> None:
    await house.database.pool.execute(
        "INSERT INTO region_quotas (organization_id, region_id, total_cpu_quota, total_memory_quota,"
        " total_disk_quota, max_cpu_per_sandbox) VALUES ($1, $2, 1, 2, 3, 2)",
        organization_id,
        region_id,
    )


async def test_an_organization_sees_its_own_and_what_it_was_granted(house: House) -> None:
    user_id, mine = await house.person()
    _, theirs = await house.person()
    await _region(house, "own", "custom", organization_id=mine, proxy_url="https://p.example")
    await _region(house, "foreign", "custom", organization_id=theirs)
    await _region(house, "ded-open", "dedicated")
    await _region(house, "ded-granted", "dedicated", enforce=True)
    await _region(house, "ded-closed", "dedicated", enforce=True)
    await _region(house, "sh-granted", "shared", name="a", enforce=True)
    await _region(house, "sh-closed", "shared", name="b", enforce=True)
    await _grant(house, mine, "ded-granted")
    await _grant(house, mine, "sh-granted")

    answer = await house.regions.ListRegions(
        region_pb.ListRegionsRequest(organization_id=mine),
        metadata=house.as_user(user_id, mine, "owner"),
    )
    assert [r.id for r in answer.regions] == ["own", "ded-granted", "ded-open", "sh-granted", "us"]
    own = answer.regions[0]
    assert (own.organization_id, own.type) == (mine, region_pb2.REGION_TYPE_CUSTOM)
    assert (own.proxy_url, own.ssh_gateway_url) == ("https://p.example", "")

    limits = {r.region_id: r for r in (await house.limits(mine)).regions}
    assert {i: r.available for i, r in limits.items()} == {
        "own": True,
        "ded-granted": True,
        "ded-open": True,
        "sh-granted": True,
        "sh-closed": False,
        "us": True,
    }
    assert limits["sh-granted"].max_cpu_per_sandbox == 2
    assert not limits["sh-granted"].HasField("max_memory_per_sandbox")
    assert limits["sh-closed"].type == region_pb2.REGION_TYPE_SHARED

    shared = await house.regions.ListSharedRegions(
        region_pb.ListSharedRegionsRequest(), metadata=house.as_machine("gateway")
    )
    assert [r.id for r in shared.regions] == ["sh-granted", "sh-closed", "us"]


async def test_limits_tell_of_a_suspension_only_while_it_is_in_force(house: House) -> None:
    user_id, organization_id = await house.person()
    suspend = (
        "UPDATE organizations SET suspended_at = now(),"
        " suspension_reason = 'r', suspended_until = now() + $2::text::interval WHERE id = $1"
    )
    await house.database.pool.execute(suspend, organization_id, "1 hour")
    limits = await house.limits(organization_id)
    assert (limits.suspension.reason, limits.suspension.cause) == ("r", "admin")
    assert limits.suspension.HasField("until_time")
    await house.database.pool.execute(suspend, organization_id, "-1 second")
    assert not (await house.limits(organization_id)).HasField("suspension")
    assert not (await house.get(user_id, organization_id)).HasField("suspension")
    assert (await house.limits(organization_id)).default_region_id == "us"


@pytest.mark.parametrize("id_", ["00000000-0000-4000-8000-00000000dead", "abc", "", "a\x00b"])
async def test_limits_of_nothing(house: House, id_: str) -> None:
    assert await refusal(house.limits(id_)) == ("NOT_FOUND", "ORGANIZATION_NOT_FOUND")


async def test_an_enforcing_region_is_granted_to_those_who_live_there(enforcing: House) -> None:
    user_id, personal = await enforcing.person()
    made = await enforcing.create(user_id)
    for organization_id in (personal, made.id):
        (us,) = (await enforcing.limits(organization_id)).regions
        assert us.available
    totals = await enforcing.database.pool.fetch(
        "SELECT total_cpu_quota, total_memory_quota, total_disk_quota FROM region_quotas"
    )
    assert {tuple(t) for t in totals} == {(10, 10, 30)}


async def test_moving_to_an_enforcing_region_grants_it_once(enforcing: House) -> None:
    user_id, personal = await enforcing.person()
    await _region(enforcing, "eu", "shared", enforce=True)
    for region in ("eu", "us", "eu"):
        await enforcing.organizations.SetDefaultRegion(
            pb.SetDefaultRegionRequest(organization_id=personal, region_id=region),
            metadata=enforcing.as_user(user_id, personal, "owner"),
        )
    assert all(r.available for r in (await enforcing.limits(personal)).regions)


async def test_a_region_that_begins_to_enforce_shuts_nobody_out(
    make_database: MakeDatabase, keyring: Keyring, tmp_path: Path
) -> None:
    url = await make_database("services.orgs")
    async with a_house(url, keyring, tmp_path) as before:
        _, personal = await before.person()
    (tmp_path / "again").mkdir()
    changed = {"region_enforce_quotas": True, "region_name": "America"}
    async with a_house(url, keyring, tmp_path / "again", **changed) as house:
        (us,) = (await house.limits(personal)).regions
        assert us.available
        assert (await house.events(personal))[-1] == (
            "organization_changed",
            {"organization_id": personal, "fields": ["regionUsage"]},
        )
        row = "SELECT name, enforce_quotas, updated_at FROM regions WHERE id = 'us'"
        first = await house.database.pool.fetchrow(row)
        assert first is not None
        assert (first["name"], first["enforce_quotas"]) == ("America", True)
        await provide_default_region(house.database, house.settings)
        assert await house.database.pool.fetchrow(row) == first


async def test_a_default_region_cannot_take_a_custom_ones_id(house: House) -> None:
    _, organization_id = await house.person()
    await _region(house, "eu_x1y2", "custom", organization_id=organization_id)
    settings = house.settings.model_copy(update={"region_id": "eu_x1y2"})
    with pytest.raises(RegionIdTaken):
        await provide_default_region(house.database, settings)
