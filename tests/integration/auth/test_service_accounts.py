"""Keys of service accounts: made, listed, changed, rotated and deleted by owners of the organization, by nobody else."""

import asyncio
from typing import Any
from uuid import uuid4

import grpc
import pytest

from chassis.grpc.caller import Caller
from ratoon.access.v1 import access_pb2
from ratoon.auth.v1 import api_key_service_pb2 as pb
from ratoon.auth.v1 import user_service_pb2
from tests.fakes import MembershipEnded
from tests.integration.auth.conftest import World, refusal

NO_ACCOUNT = (grpc.StatusCode.NOT_FOUND, "SERVICE_ACCOUNT_NOT_FOUND")
NOT_HOLDER = (grpc.StatusCode.PERMISSION_DENIED, "NOT_KEY_HOLDER")


@pytest.fixture
def organization(world: World) -> str:
    return world.orgs.organization("boss", ada=("write:snapshots",))


async def _list(world: World, me: Any, organization: str, user_id: str) -> list[str]:
    request = pb.ListApiKeysRequest(organization_id=organization, user_id=user_id)
    return [k.name for k in (await world.keys.ListApiKeys(request, metadata=me)).api_keys]


async def test_an_owner_makes_a_key_that_acts_as_the_account(
    world: World, organization: str
) -> None:
    account = world.orgs.service_account(organization, "write:snapshots")
    me = world.owner("boss", organization)
    permissions = ["write:snapshots", "manage:members"]
    made = await world.create_key(me, organization, "ci", user_id=account, permissions=permissions)
    assert made.api_key.user_id == account
    caller = (await world.authenticate(made.secret)).caller
    assert (caller.user_id, caller.email, caller.organization_id) == (account, "", organization)
    assert caller.organization_role == access_pb2.ORGANIZATION_ROLE_MEMBER
    # As far as the account's roles go, whatever its maker holds.
    assert list(caller.permissions) == ["write:snapshots"]
    told = "SELECT count(*) FROM outbox WHERE type = 'user_changed'"
    assert await world.database.pool.fetchval(told) == 0
    assert not world.orgs.ensured


async def test_a_key_may_do_so_if_an_owner_holds_it(world: World, organization: str) -> None:
    account = world.orgs.service_account(organization)
    key = Caller(
        credential="api_key",
        user_id="boss",
        organization_id=organization,
        organization_role="owner",
        permissions=frozenset({"manage:api_keys", "read:limits"}),
        api_key_id=str(uuid4()),
    )
    me = world.keyring.metadata(key)
    await world.create_key(me, organization, user_id=account, permissions=["read:limits"])
    call = world.create_key(me, organization, user_id=account, permissions=["write:snapshots"])
    assert (await refusal(call))[1] == "PERMISSIONS_NOT_HELD"


async def test_nobody_makes_keys_for_another_person(world: World, organization: str) -> None:
    me, member = (
        world.owner("boss", organization),
        world.person("ada", organization, "member", {"write:snapshots"}),
    )
    elsewhere = world.orgs.service_account(world.orgs.organization("boss"))
    for holder in ("ada", "nobody", "service-account-x", elsewhere, "a\0b"):
        call = world.create_key(me, organization, user_id=holder)
        assert await refusal(call) == NO_ACCOUNT
    account = world.orgs.service_account(organization)
    assert await refusal(world.create_key(member, organization, user_id=account)) == NOT_HOLDER
    world.orgs.away = True
    call = world.create_key(me, organization, user_id=account)
    assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, "ORGANIZATIONS_UNAVAILABLE")
    assert await world.database.pool.fetchval("SELECT count(*) FROM api_keys") == 0


async def test_owners_look_after_its_keys(world: World, organization: str) -> None:
    account = world.orgs.service_account(organization)
    me, member = (
        world.owner("boss", organization),
        world.person("ada", organization, "member", ()),
    )
    made = await world.create_key(me, organization, "ci", user_id=account)
    await world.create_key(me, organization, "own")
    assert await _list(world, me, organization, account) == ["ci"]
    assert await _list(world, me, organization, "") == ["own", "ci"]
    assert await refusal(_list(world, member, organization, account)) == NOT_HOLDER
    empty = world.orgs.service_account(organization)
    assert await _list(world, me, organization, empty) == []
    assert await refusal(_list(world, me, organization, "service-account-x")) == NO_ACCOUNT
    rotation = pb.RotateApiKeyRequest(organization_id=organization, name="ci", user_id=account)
    turned = await world.keys.RotateApiKey(rotation, metadata=me)
    assert (await refusal(world.authenticate(made.secret)))[1] == "CREDENTIAL_INVALID"
    assert (await world.authenticate(turned.secret)).caller.user_id == account
    assert await refusal(world.keys.RotateApiKey(rotation, metadata=member)) == NOT_HOLDER
    change = pb.UpdateApiKeyRequest(organization_id=organization, name="ci", user_id=account)
    change.permissions.permissions.append("read:limits")
    changed = await world.keys.UpdateApiKey(change, metadata=me)
    assert list(changed.api_key.permissions) == ["read:limits"]
    gone = pb.DeleteApiKeyRequest(organization_id=organization, name="ci", user_id=account)
    assert await refusal(world.keys.DeleteApiKey(gone, metadata=member)) == NOT_HOLDER
    await world.keys.DeleteApiKey(gone, metadata=me)
    assert (await refusal(world.authenticate(turned.secret)))[1] == "CREDENTIAL_INVALID"


async def test_an_account_is_no_person(world: World, organization: str) -> None:
    account = world.orgs.service_account(organization)
    made = await world.create_key(world.owner("boss", organization), organization, user_id=account)
    token = (("ratoon-caller", (await world.authenticate(made.secret)).token),)
    get = world.users.GetCurrentUser(user_service_pb2.GetCurrentUserRequest(), metadata=token)
    assert (await refusal(get))[1] == "ACCOUNT_KEY_REQUIRED"
    disable = user_service_pb2.SetUserDisabledRequest(user_id=account, disabled=True)
    call = world.users.SetUserDisabled(disable, metadata=world.by("operator"))
    assert (await refusal(call))[1] == "USER_NOT_FOUND"
    listed = await world.users.ListUsers(
        user_service_pb2.ListUsersRequest(), metadata=world.by("operator")
    )
    assert [u.id for u in listed.users] == []


async def test_the_same_idempotency_key_gets_the_same_key(world: World, organization: str) -> None:
    account = world.orgs.service_account(organization)
    me = world.owner("boss", organization)
    fields = {"user_id": account, "request_id": "once"}
    answers = await asyncio.gather(
        *(world.create_key(me, organization, "ci", **fields) for _ in range(5))
    )
    assert all(a == answers[0] for a in answers)
    call = world.create_key(me, organization, "ci", request_id="once")
    assert (await refusal(call))[1] == "IDEMPOTENCY_KEY_REUSED"


async def test_of_ten_first_keys_of_an_account_all_are_made(
    world: World, organization: str
) -> None:
    account = world.orgs.service_account(organization)
    me = world.owner("boss", organization)
    made = await asyncio.gather(
        *(world.create_key(me, organization, user_id=account) for _ in range(10))
    )
    callers = [(await world.authenticate(m.secret)).caller for m in made]
    assert {c.user_id for c in callers} == {account}


async def test_a_key_made_while_its_account_is_removed_is_taken_back(
    world: World, organization: str
) -> None:
    account = world.orgs.service_account(organization)
    me = world.owner("boss", organization)
    async with world.database.pool.acquire() as other:
        async with other.transaction():
            await other.execute("LOCK TABLE api_keys IN EXCLUSIVE MODE")
            create = asyncio.create_task(world.create_key(me, organization, user_id=account))
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'api_keys'::regclass"
            async with asyncio.timeout(10):
                while not await world.database.pool.fetchval(waiting):
                    await asyncio.sleep(0)
            del world.orgs.members[account, organization]
        assert await refusal(create) == NO_ACCOUNT
    assert await world.database.pool.fetchval("SELECT count(*) FROM api_keys") == 0


async def test_with_the_account_go_its_keys(world: World, organization: str) -> None:
    account = world.orgs.service_account(organization)
    me = world.owner("boss", organization)
    made = await world.create_key(me, organization, user_id=account)
    await world.orgs.announce(MembershipEnded(organization, account))
    async with asyncio.timeout(15):
        while await world.database.pool.fetchval("SELECT count(*) FROM api_keys"):
            continue
    assert (await refusal(world.authenticate(made.secret)))[1] == "CREDENTIAL_INVALID"
