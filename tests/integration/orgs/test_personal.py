"""The personal organization: one each, born with its owner, suspended while the e-mail address is unverified."""

import asyncio
from pathlib import Path
from uuid import uuid4

from ratoon.access.v1.access_pb2 import ORGANIZATION_ROLE_OWNER
from ratoon.orgs.v1 import organization_service_pb2 as pb
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.orgs.conftest import House, a_house, refusal


async def test_a_new_user_owns_an_organization_with_the_default_region(house: House) -> None:
    user_id, organization_id = await house.person()
    (personal,) = await house.list_of(user_id)
    assert personal.id == organization_id
    assert (personal.name, personal.personal, personal.created_by) == ("Personal", True, user_id)
    assert personal.default_region_id == "us"
    assert not personal.HasField("suspension")
    assert personal.limits.snapshot_quota == 30
    assert personal.limits.max_snapshot_size == 20
    assert personal.limits.snapshot_deactivation_timeout_minutes == 20160
    assert not personal.limits.HasField("authenticated_rate_limit")
    membership = await house.resolve(user_id, "")
    assert membership.organization_id == organization_id
    assert membership.role == ORGANIZATION_ROLE_OWNER
    assert await house.events(organization_id) == [
        (
            "organization_created",
            {"organization_id": organization_id, "name": "Personal", "personal": True},
        ),
        (
            "membership_changed",
            {"organization_id": organization_id, "user_id": user_id, "began": True},
        ),
    ]


async def test_twenty_first_logins_at_once_make_one(house: House) -> None:
    user_id = f"user|{uuid4().hex}"
    made = await asyncio.gather(*(house.ensure(user_id) for _ in range(20)))
    assert len(set(made)) == 1
    assert len(await house.list_of(user_id)) == 1
    assert len(await house.events(made[0])) == 2


async def test_an_unverified_address_suspends_until_it_is_verified(house: House) -> None:
    user_id, organization_id = await house.person(verified=False)
    suspension = (await house.get(user_id, organization_id)).suspension
    assert suspension.cause == "email-verification"
    assert suspension.reason
    assert suspension.HasField("time")
    assert not suspension.HasField("until_time")
    assert (await house.limits(organization_id)).suspension == suspension
    await house.ensure(user_id, verified=False)
    assert (await house.get(user_id, organization_id)).HasField("suspension")
    await house.ensure(user_id, verified=True)
    assert not (await house.get(user_id, organization_id)).HasField("suspension")
    told, audited = (await house.events(organization_id))[-2:]
    assert told == (
        "organization_changed",
        {"organization_id": organization_id, "fields": ["suspended"]},
    )
    assert (audited[0], audited[1]["action"]) == ("audited", "unsuspend")
    await house.ensure(user_id, verified=True)
    assert len(await house.events(organization_id)) == 4


async def test_a_late_word_that_an_address_is_unverified_does_not_suspend(house: House) -> None:
    user_id = f"user|{uuid4().hex}"
    await house.database.pool.execute(
        "INSERT INTO people VALUES ($1, 'Ada', $2, true)", user_id, f"{user_id}@example.com"
    )
    organization_id = await house.ensure(user_id, verified=False)
    assert not (await house.get(user_id, organization_id)).HasField("suspension")


async def test_where_verification_is_not_demanded_nobody_is_suspended(
    make_database: MakeDatabase, keyring: Keyring, tmp_path: Path
) -> None:
    url = await make_database("services.orgs")
    async with a_house(url, keyring, tmp_path, skip_email_verification=True) as house:
        user_id, organization_id = await house.person(verified=False)
        assert not (await house.get(user_id, organization_id)).HasField("suspension")
        request = pb.CreateOrganizationRequest(name="Shop", default_region_id="us")
        await house.organizations.CreateOrganization(
            request, metadata=house.as_user(user_id, email_verified=False)
        )


async def test_only_auth_may_ensure(house: House) -> None:
    request = pb.EnsurePersonalOrganizationRequest(user_id="u")
    for metadata, reason in (
        (house.as_machine("snapshots"), ("PERMISSION_DENIED", "SERVICE_REFUSED")),
        (house.as_user("u"), ("UNAUTHENTICATED", "CREDENTIAL_INVALID")),
        ((), ("UNAUTHENTICATED", "CALLER_TOKEN_INVALID")),
    ):
        call = house.organizations.EnsurePersonalOrganization(request, metadata=metadata)
        assert await refusal(call) == reason
