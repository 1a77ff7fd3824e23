"""Memberships: who is in, what that permits, and how it ends."""

import asyncio

import pytest

from ratoon.access.v1.access_pb2 import ORGANIZATION_ROLE_MEMBER, ORGANIZATION_ROLE_OWNER
from ratoon.orgs.v1 import member_service_pb2 as pb
from tests.integration.orgs.conftest import House, outcome, refusal

GLOBAL = "00000000-0000-0000-0000-00000000000"


async def test_members_are_listed_with_names_and_roles_in_order_of_joining(house: House) -> None:
    owner, _ = await house.person()
    made = await house.create(owner)
    colleague, _ = await house.person()
    await house.join("nobody-told-of", made.id)
    await house.join(colleague, made.id)
    await house.assign(colleague, made.id, f"{GLOBAL}6", f"{GLOBAL}1")
    answer = await house.members.ListMembers(
        pb.ListMembersRequest(organization_id=made.id),
        metadata=house.as_user(colleague, made.id, "member"),
    )
    first, second, third = answer.members
    assert (first.user_id, first.role, list(first.roles)) == (owner, ORGANIZATION_ROLE_OWNER, [])
    assert (second.user_id, second.name, second.email) == ("nobody-told-of", "", "")
    assert (third.name, third.email) == ("Ada", f"{colleague}@example.com")
    assert third.role == ORGANIZATION_ROLE_MEMBER
    assert [(r.name, r.is_global) for r in third.roles] == [
        ("Developer", True),
        ("Volumes Admin", True),
    ]
    assert list(third.roles[1].permissions) == ["read:volumes", "write:volumes", "delete:volumes"]
    assert {m.organization_id for m in answer.members} == {made.id}


async def test_a_key_lists_members_only_with_the_permission(house: House) -> None:
    owner, personal = await house.person()
    request = pb.ListMembersRequest(organization_id=personal)
    for permissions, expected in (((), "PERMISSION_MISSING"), (("manage:members",), "ok")):
        key = house.as_user(
            owner, personal, "owner", credential="api_key", permissions=frozenset(permissions)
        )
        assert await outcome(house.members.ListMembers(request, metadata=key)) == expected


async def test_a_member_holds_the_union_of_the_roles(house: House) -> None:
    owner, _ = await house.person()
    made = await house.create(owner)
    colleague, _ = await house.person()
    await house.join(colleague, made.id)
    assert list((await house.resolve(colleague, made.id)).permissions) == []
    await house.assign(colleague, made.id, f"{GLOBAL}1", f"{GLOBAL}2", f"{GLOBAL}7")
    resolved = await house.resolve(colleague, made.id)
    assert resolved.role == ORGANIZATION_ROLE_MEMBER
    assert list(resolved.permissions) == ["delete:sandboxes", "read:audit_logs", "write:sandboxes"]
    await house.assign(owner, made.id, f"{GLOBAL}1")
    assert list((await house.resolve(owner, made.id)).permissions) == []


async def test_who_is_no_member_is_told_nothing_more(house: House) -> None:
    owner, _ = await house.person()
    stranger, _ = await house.person()
    made = await house.create(owner)
    for user_id, organization_id in (
        (stranger, made.id),
        (owner, "00000000-0000-4000-8000-00000000dead"),
        (owner, "abc"),
        (owner, "a\x00b"),
        ("a\x00b", made.id),
        ("a\x00b", ""),
        ("unknown", ""),
        ("", ""),
    ):
        refused = await refusal(house.resolve(user_id, organization_id))
        assert refused == ("NOT_FOUND", "NOT_A_MEMBER")


async def test_who_leaves_is_out_at_once(house: House) -> None:
    owner, _ = await house.person()
    made = await house.create(owner)
    colleague, _ = await house.person()
    await house.join(colleague, made.id)
    await house.assign(colleague, made.id, f"{GLOBAL}1")
    await house.leave(colleague, made.id)
    assert await refusal(house.resolve(colleague, made.id)) == ("NOT_FOUND", "NOT_A_MEMBER")
    assert await outcome(house.get(colleague, made.id)) == "ORGANIZATION_FORBIDDEN"
    assert await outcome(house.leave(colleague, made.id)) == "ORGANIZATION_FORBIDDEN"
    ended, said = (await house.events(made.id))[-2:]
    assert ended == ("membership_ended", {"organization_id": made.id, "user_id": colleague})
    assert (said[0], said[1]["action"], said[1]["target_type"]) == (
        "audited",
        "leave_organization",
        "",
    )
    assert await outcome(house.leave(owner, made.id)) == "LAST_OWNER"


@pytest.mark.parametrize("round_", range(5))
async def test_two_owners_who_leave_at_once_leave_one(house: House, round_: int) -> None:
    owner, _ = await house.person()
    made = await house.create(owner, f"Shop {round_}")
    second, _ = await house.person()
    await house.join(second, made.id, "owner")
    outcomes = await asyncio.gather(*(outcome(house.leave(u, made.id)) for u in (owner, second)))
    assert sorted(outcomes) == ["LAST_OWNER", "ok"]
    left = await house.database.pool.fetchval(
        "SELECT count(*) FROM members WHERE organization_id = $1 AND role = 'owner'", made.id
    )
    assert left == 1


@pytest.mark.parametrize("round_", range(5))
async def test_each_membership_ends_once_when_leaving_meets_deletion(
    house: House, round_: int
) -> None:
    owner, _ = await house.person()
    made = await house.create(owner, f"Shop {round_}")
    colleague, _ = await house.person()
    await house.join(colleague, made.id)
    left, deleted = await asyncio.gather(
        outcome(house.leave(colleague, made.id)), outcome(house.delete(owner, made.id))
    )
    assert deleted == "ok"
    assert left in ("ok", "ORGANIZATION_FORBIDDEN")
    ended = [p["user_id"] for t, p in await house.events(made.id) if t == "membership_ended"]
    assert sorted(ended) == sorted([owner, colleague])
