"""Roles: whose they are, what they may permit, who is told of a change, and when they may go."""

import asyncio

import grpc
import pytest

from chassis.grpc.status import error_info
from chassis.permissions import MANAGEMENT, PUBLISHED
from services.orgs.domain.roles import MOST_HOLDERS_TOLD, MOST_ROLES
from tests.integration.orgs.actor import (
    DEVELOPER,
    UNKNOWN,
    Actor,
    age,
    an_owner,
    somebody,
)
from tests.integration.orgs.conftest import House, outcome, refusal


async def test_a_role_lives(house: House) -> None:
    owner = await an_owner(house)
    made = await owner.make_role(
        "Maintainer", description="Löscht alles", permissions=["delete:images", "delete:snapshots"]
    )
    assert (made.name, made.description, made.is_global) == ("Maintainer", "Löscht alles", False)
    assert list(made.permissions) == ["delete:snapshots"]
    assert await owner.get_role(made.id) == made
    changed = await owner.change_role(made.id, "", permissions=["manage:members", "read:limits"])
    assert (changed.name, changed.description) == ("", "")
    assert list(changed.permissions) == ["manage:members", "read:limits"]
    assert (changed.revision, changed.create_time) == (made.revision + 1, made.create_time)
    assert changed.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    assert await owner.get_role(made.id) == changed
    await owner.delete_role(made.id)
    assert await refusal(owner.get_role(made.id)) == ("NOT_FOUND", "ROLE_NOT_FOUND")
    assert await owner.audited() == [
        ("create", "organization_role", made.id),
        ("update", "organization_role", made.id),
        ("delete", "organization_role", made.id),
    ]


async def test_global_roles_come_first_and_stay(house: House) -> None:
    owner = await an_owner(house)
    made = sorted([(await owner.make_role(f"r{n}")).id for n in range(3)])
    member = await owner.joined()
    listed = (await member.list_roles()).roles
    assert [r.id for r in listed] == [f"{DEVELOPER[:-1]}{n}" for n in range(1, 9)] + made
    assert [r.is_global for r in listed] == [True] * 8 + [False] * 3
    assert (await member.get_role(DEVELOPER)).name == "Developer"
    for call in (owner.change_role(DEVELOPER), owner.delete_role(DEVELOPER)):
        assert await refusal(call) == ("PERMISSION_DENIED", "ROLE_GLOBAL")


async def test_roles_of_others_look_like_none(house: House) -> None:
    owner, other = await an_owner(house), await an_owner(house)
    made = await owner.make_role()
    for role_id in (made.id, UNKNOWN, "abc", "a\x00b", ""):
        for call in (
            other.get_role(role_id),
            other.change_role(role_id),
            other.delete_role(role_id),
        ):
            assert await refusal(call) == ("NOT_FOUND", "ROLE_NOT_FOUND")
    assert made.id not in [r.id for r in (await other.list_roles()).roles]
    assert await owner.get_role(made.id) == made


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"name": "x" * 256}, "ROLE_NAME_INVALID"),
        ({"name": "<b>"}, "ROLE_NAME_INVALID"),
        ({"name": "a\x00b"}, "ROLE_NAME_INVALID"),
        ({"description": "x" * 1_001}, "ROLE_DESCRIPTION_INVALID"),
        ({"description": "see www.example.com"}, "ROLE_DESCRIPTION_INVALID"),
        ({"permissions": []}, "ROLE_PERMISSIONS_INVALID"),
        ({"permissions": ["write:sandboxes", "fly"]}, "ROLE_PERMISSIONS_INVALID"),
        ({"permissions": ["read:snapshots"]}, "ROLE_PERMISSIONS_INVALID"),
    ],
)
async def test_what_is_no_role(house: House, said: dict[str, object], reason: str) -> None:
    owner = await an_owner(house)
    made = await owner.make_role()
    for call in (owner.make_role(**said), owner.change_role(made.id, **said)):  # type: ignore[arg-type]  # that is the test
        assert await refusal(call) == ("INVALID_ARGUMENT", reason)
    assert await owner.get_role(made.id) == made


async def test_all_that_is_published_and_managed_can_be_permitted(house: House) -> None:
    owner = await an_owner(house)
    wanted = [*PUBLISHED, *MANAGEMENT, "manage:billing"]
    assert list((await owner.make_role(permissions=wanted)).permissions) == wanted


async def test_only_owners_change_roles(house: House) -> None:
    owner = await an_owner(house)
    made = await owner.make_role()
    member = await owner.joined()
    # An owner by the token, which may be a minute old; and an owner by nothing.
    for role, reason in (("member", "OWNER_REQUIRED"), ("owner", "OWNER_REQUIRED")):
        actor = member.at(owner.organization_id, role)
        for call in (actor.make_role(), actor.change_role(made.id), actor.delete_role(made.id)):
            assert await outcome(call) == reason
    stranger = (await somebody(house)).at(owner.organization_id)
    for seen in (stranger.make_role(), stranger.list_roles(), stranger.get_role(made.id)):
        assert await outcome(seen) == "ORGANIZATION_FORBIDDEN"


async def test_a_change_may_be_made_on_condition(house: House) -> None:
    owner = await an_owner(house)
    made = await owner.make_role()
    changed = await owner.change_role(made.id, if_revision=made.revision)
    for call in (
        owner.change_role(made.id, if_revision=made.revision),
        owner.delete_role(made.id, if_revision=made.revision),
    ):
        assert await refusal(call) == ("ABORTED", "REVISION_MISMATCH")
    await owner.delete_role(made.id, if_revision=changed.revision)


async def test_a_role_is_made_once_for_a_key(house: House) -> None:
    owner = await an_owner(house)
    made = await asyncio.gather(*(owner.make_role("one", key="k") for _ in range(5)))
    assert len({r.id for r in made}) == 1
    assert await outcome(owner.make_role("two", key="k")) == "IDEMPOTENCY_KEY_REUSED"
    assert await outcome(owner.make_role("two", key="\n")) == "IDEMPOTENCY_KEY_INVALID"
    assert len((await owner.list_roles()).roles) == 9


async def test_an_organization_has_so_many_roles_and_no_more(house: House) -> None:
    owner = await an_owner(house)
    await house.database.pool.execute(
        "INSERT INTO roles (id, organization_id, name, description, permissions)"
        " SELECT gen_random_uuid(), $1, 'r', '', '{}' FROM generate_series(2, $2::int)",
        owner.organization_id,
        MOST_ROLES,
    )
    # A bound, not a quota: those who make the last one at the same moment may pass it, those who come then may not.
    assert await outcome(owner.make_role()) == "ok"
    outcomes = await asyncio.gather(*(outcome(owner.make_role()) for _ in range(4)))
    assert outcomes == ["ROLE_LIMIT_REACHED"] * 4


async def test_a_role_that_is_held_or_offered_stays(house: House) -> None:
    owner = await an_owner(house)
    role = (await owner.make_role()).id
    member = await owner.joined()
    await owner.set_access(member.user_id, role_ids=[role])
    invitation = await owner.invite("a@example.com", role_ids=[role])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await owner.delete_role(role)
    said = error_info(refused.value)
    assert (refused.value.code().name, said.reason) == ("ALREADY_EXISTS", "ROLE_ASSIGNED")
    assert said.metadata == {"members": member.user_id, "invitations": invitation.id}
    await owner.set_access(member.user_id)
    assert await outcome(owner.delete_role(role)) == "ROLE_ASSIGNED"
    await age(owner, invitation.id)
    await owner.delete_role(role)
    assert await outcome(owner.get_role(role)) == "ROLE_NOT_FOUND"


async def test_what_is_over_does_not_hold_a_role(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    role = (await owner.make_role()).id
    accepted = await owner.invite(guest.email, role_ids=[role])
    await guest.accept(accepted.id)
    cancelled = await owner.invite("b@example.com", role_ids=[role])
    await owner.cancel(cancelled.id)
    await owner.remove(guest.user_id)
    await owner.delete_role(role)


async def test_whoever_holds_a_role_is_told_of_when_it_permits_something_else(house: House) -> None:
    owner = await an_owner(house)
    role = (await owner.make_role(permissions=["write:volumes", "read:volumes"])).id
    members = sorted([(await owner.joined()).user_id for _ in range(3)])
    for user_id in members:
        await owner.set_access(user_id, role_ids=[role])
    before = len(await owner.concerned())
    await owner.change_role(role, "other name", permissions=["read:volumes", "write:volumes"])
    assert len(await owner.concerned()) == before
    await owner.change_role(role, permissions=["read:volumes"])
    assert (await owner.concerned())[before:] == members
    resolved = await house.resolve(members[0], owner.organization_id)
    assert list(resolved.permissions) == ["read:volumes"]


async def test_when_many_hold_a_role_the_whole_organization_is_told_of(house: House) -> None:
    owner = await an_owner(house)
    role = (await owner.make_role()).id
    for statement in (
        "INSERT INTO members (organization_id, user_id, role)"
        " SELECT $1, 'm' || n, 'member' FROM generate_series(0, $2::int) n",
        "INSERT INTO member_roles (organization_id, user_id, role_id)"
        f" SELECT $1, 'm' || n, '{role}' FROM generate_series(0, $2::int) n",
    ):
        await house.database.pool.execute(statement, owner.organization_id, MOST_HOLDERS_TOLD)
    before = len(await owner.concerned())
    await owner.change_role(role, permissions=["read:volumes"])
    assert len(await owner.concerned()) == before
    changed = {"organization_id": owner.organization_id, "fields": ["roles"]}
    assert ("organization_changed", changed) in await house.events(owner.organization_id)


async def _settled(owner: Actor, role: str, user_id: str) -> tuple[bool, bool]:
    """Return whether the role is there, and whether the member holds it."""
    there = await outcome(owner.get_role(role)) == "ok"
    held = [r.id for r in (await owner.get_member(user_id)).roles]
    return there, held == [role]


@pytest.mark.parametrize("round_", range(15))
async def test_a_role_that_is_deleted_while_it_is_assigned(house: House, round_: int) -> None:
    owner = await an_owner(house)
    second, member = await owner.joined("owner"), await owner.joined()
    role = (await owner.make_role()).id
    calls = [
        outcome(owner.set_access(member.user_id, role_ids=[role])),
        outcome(second.delete_role(role)),
    ]
    if round_ % 2:
        calls.reverse()
    outcomes = sorted(await asyncio.gather(*calls))
    settled = await _settled(owner, role, member.user_id)
    assert (outcomes, settled) in (
        (["ROLE_ASSIGNED", "ok"], (True, True)),
        (["ROLES_INVALID", "ok"], (False, False)),
    )


@pytest.mark.parametrize("round_", range(15))
async def test_a_role_that_is_deleted_while_it_is_offered(house: House, round_: int) -> None:
    owner = await an_owner(house)
    role = (await owner.make_role()).id
    calls = [
        outcome(owner.invite("a@example.com", role_ids=[role])),
        outcome(owner.delete_role(role)),
    ]
    if round_ % 2:
        calls.reverse()
    outcomes = sorted(await asyncio.gather(*calls))
    assert outcomes in (["ROLE_ASSIGNED", "ok"], ["ROLES_INVALID", "ok"])
    offered = [[r.id for r in i.roles] for i in (await owner.list_invitations()).invitations]
    assert offered == ([[role]] if "ROLE_ASSIGNED" in outcomes else [])
