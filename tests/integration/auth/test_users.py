"""UserService: people made by the operator, and everybody's own user."""

import asyncio
from typing import Any

import grpc
import pytest

from chassis.permissions import ALL
from ratoon.access.v1 import access_pb2
from ratoon.auth.v1 import user_service_pb2 as pb
from tests.integration.auth.conftest import World, refusal

ADMIN = pb.EnsureAdminRequest(email="root@example.org")
AWAY = (grpc.StatusCode.UNAVAILABLE, "ORGANIZATIONS_UNAVAILABLE")


async def _ensure(world: World, request: pb.EnsureAdminRequest = ADMIN) -> pb.EnsureAdminResponse:
    return await world.users.EnsureAdmin(request, metadata=world.by("operator"))


async def _issue(world: World, **fields: Any) -> pb.IssueAccountKeyResponse:
    request = pb.IssueAccountKeyRequest(**fields)
    return await world.users.IssueAccountKey(request, metadata=world.by("operator"))


async def test_the_administrator_is_made_once(world: World) -> None:
    made = await _ensure(world)
    assert made.user.id == "ratoon-admin"
    assert made.user.system_role == access_pb2.SYSTEM_ROLE_ADMIN
    assert (made.user.email, made.user.email_verified) == ("root@example.org", True)
    answer = await world.authenticate(made.secret)
    assert answer.api_key.name == "admin"
    assert answer.api_key.system_admin
    assert answer.caller.system_role == access_pb2.SYSTEM_ROLE_ADMIN
    assert set(answer.caller.permissions) == ALL
    again = await _ensure(world, pb.EnsureAdminRequest(email="other@example.org"))
    assert (again.user.email, again.secret) == ("root@example.org", "")
    assert len(world.orgs.ensured) == 1


async def test_of_ten_at_once_one_gets_the_secret(world: World) -> None:
    made = await asyncio.gather(*(_ensure(world) for _ in range(10)))
    assert {m.user.id for m in made} == {"ratoon-admin"}
    secrets = [m.secret for m in made if m.secret]
    assert len(secrets) == 1
    assert (await world.authenticate(secrets[0])).caller.user_id == "ratoon-admin"
    assert len(world.orgs.personal) == 1


async def test_what_a_crash_left_undone_is_mended(world: World) -> None:
    world.orgs.away = True
    assert await refusal(_ensure(world)) == AWAY
    add = pb.AddUserRequest(email="ada@example.org")
    call = world.users.AddUser(add, metadata=world.by("operator"))
    assert await refusal(call) == AWAY
    world.orgs.away = False
    assert (await _ensure(world)).secret
    added, personal = await world.add_user("ada@example.org")
    assert added.created
    assert (await world.authenticate(added.secret)).caller.organization_id == personal


async def test_an_address_is_added_once_however_it_is_capitalized(world: World) -> None:
    added, _ = await world.add_user("Ada@Example.org")
    assert added.created
    assert (added.user.name, added.user.email) == ("Ada", "Ada@Example.org")
    assert added.user.system_role == access_pb2.SYSTEM_ROLE_UNSPECIFIED
    again, _ = await world.add_user("ada@EXAMPLE.org", name="Other", system_admin=True)
    assert (again.created, again.secret, again.user) == (False, "", added.user)


async def test_of_ten_adding_at_once_one_makes_the_user(world: World) -> None:
    answers = await asyncio.gather(*(world.add_user("ada@example.org") for _ in range(10)))
    made = [a for a, _ in answers if a.created]
    assert len(made) == 1
    assert (await world.authenticate(made[0].secret)).caller.user_id == made[0].user.id
    assert len(world.orgs.personal) == 1


@pytest.mark.parametrize("email", ["", "x", "a\0@b", "a@b\n"])
async def test_what_is_no_address_is_refused(world: World, email: str) -> None:
    expected = (grpc.StatusCode.INVALID_ARGUMENT, "EMAIL_INVALID")
    add = pb.AddUserRequest(email=email)
    assert await refusal(world.users.AddUser(add, metadata=world.by("operator"))) == expected
    assert await refusal(_ensure(world, pb.EnsureAdminRequest(email=email))) == expected


async def test_the_administrator_needs_an_own_address(world: World) -> None:
    await world.add_user("ROOT@example.org")
    assert await refusal(_ensure(world)) == (grpc.StatusCode.ALREADY_EXISTS, "EMAIL_TAKEN")


async def test_more_account_keys_are_issued(world: World) -> None:
    first = (await _ensure(world)).secret
    issued = await _issue(world)
    assert issued.secret != first
    assert issued.api_key.system_admin
    assert issued.api_key.name
    assert issued.api_key.organization_id == ""
    assert (await world.authenticate(issued.secret)).caller.user_id == "ratoon-admin"
    assert (await world.authenticate(first)).caller.user_id == "ratoon-admin"
    added, _ = await world.add_user("ada@example.org")
    hers = await _issue(world, email="ADA@example.org", name="laptop")
    assert (hers.api_key.user_id, hers.api_key.name) == (added.user.id, "laptop")
    assert not hers.api_key.system_admin
    for fields, reason in (
        ({"email": "ada@example.org", "name": "laptop"}, "API_KEY_NAME_TAKEN"),
        ({"name": "current"}, "API_KEY_NAME_INVALID"),
        ({"email": "nobody@example.org"}, "USER_NOT_FOUND"),
        ({"email": "a\0b"}, "USER_NOT_FOUND"),
    ):
        assert (await refusal(_issue(world, **fields)))[1] == reason


async def test_without_an_administrator_there_is_nobody_to_issue_for(world: World) -> None:
    assert await refusal(_issue(world)) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")


async def test_a_key_issued_to_somebody_half_made_works(world: World) -> None:
    world.orgs.away = True
    await refusal(_ensure(world))
    world.orgs.away = False
    issued = await _issue(world, name="rescue")
    caller = (await world.authenticate(issued.secret)).caller
    assert caller.organization_id == world.orgs.personal["ratoon-admin"]
    assert (await _ensure(world)).secret == ""


async def test_only_the_operator_makes_people(world: World) -> None:
    for call in (
        world.users.EnsureAdmin(ADMIN, metadata=world.by("gateway")),
        world.users.AddUser(pb.AddUserRequest(email="a@b"), metadata=world.by("orgs")),
        world.users.IssueAccountKey(pb.IssueAccountKeyRequest(), metadata=world.by("gateway")),
    ):
        assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "SERVICE_REFUSED")


async def test_one_gets_the_own_user(world: World) -> None:
    added, personal = await world.add_user("ada@example.org")
    get, request = world.users.GetCurrentUser, pb.GetCurrentUserRequest()
    me = world.owner(added.user.id, personal)
    assert (await get(request, metadata=me)).user == added.user
    token = (await world.authenticate(added.secret)).token
    assert (await get(request, metadata=(("ratoon-caller", token),))).user == added.user
    made = await world.create_key(me, personal)
    token = (await world.authenticate(made.secret)).token
    ordinary = get(request, metadata=(("ratoon-caller", token),))
    assert (await refusal(ordinary))[1] == "ACCOUNT_KEY_REQUIRED"
    gone = get(request, metadata=world.owner("gone", personal))
    assert await refusal(gone) == (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")


async def test_a_new_person_is_told_of(world: World) -> None:
    added, _ = await world.add_user("ada@example.org", name="Ada")
    row = await world.database.pool.fetchrow(
        "SELECT payload->>'user_id', payload->>'name', payload->>'email',"
        " payload->'email_verified' = 'true', origin->>'service'"
        " FROM outbox WHERE type = 'user_changed'"
    )
    assert row is not None
    assert tuple(row) == (added.user.id, "Ada", "ada@example.org", True, "operator")
