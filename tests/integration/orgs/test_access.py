"""What members may be made, by whom, and how their membership ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.orgs.domain.members import MOST_ACCOUNTS
from tests.integration.orgs.actor import (
    AUDITOR,
    DEVELOPER,
    ROLES,
    UNKNOWN,
    Actor,
    an_owner,
    somebody,
)
from tests.integration.orgs.conftest import House, outcome, refusal


async def owners(actor: Actor) -> int:
    found: int = await actor.house.database.pool.fetchval(
        "SELECT count(*) FROM members WHERE organization_id = $1 AND role = 'owner'",
        actor.organization_id,
    )
    return found


async def test_access_is_replaced(house: House) -> None:
    owner = await an_owner(house)
    own = (await owner.make_role()).id
    member = await owner.joined()
    before = await owner.get_member(member.user_id)
    changed = await owner.set_access(member.user_id, "member", [own, DEVELOPER])
    assert [r.id for r in changed.roles] == [DEVELOPER, own]
    assert (changed.role, changed.revision) == (ROLES["member"], before.revision + 1)
    assert changed.update_time.ToNanoseconds() > before.update_time.ToNanoseconds()
    assert await member.get_member(member.user_id) == changed
    changed = await owner.set_access(member.user_id, "owner", [AUDITOR])
    assert (changed.role, [r.id for r in changed.roles]) == (ROLES["owner"], [AUDITOR])
    assert (await owner.concerned())[-2:] == [member.user_id] * 2
    assert (await owner.audited())[-1] == ("update_access", "organization_user", member.user_id)
    # An organization is handed over by making somebody an owner and leaving.
    await owner.leave()
    assert await owners(owner) == 1


async def test_nobody_changes_the_own_access(house: House) -> None:
    owner = await an_owner(house)
    await owner.joined("owner")
    refused = await refusal(owner.set_access(owner.user_id))
    assert refused == ("PERMISSION_DENIED", "OWN_ACCESS")


@pytest.mark.parametrize("user_id", ["nobody", "a\x00b", "", UNKNOWN])
async def test_who_is_no_member_cannot_be_found(house: House, user_id: str) -> None:
    owner = await an_owner(house)
    for call in (owner.set_access(user_id), owner.remove(user_id), owner.get_member(user_id)):
        assert await refusal(call) == ("NOT_FOUND", "MEMBER_NOT_FOUND")


async def test_a_member_of_another_organization_is_none(house: House) -> None:
    owner, other = await an_owner(house), await an_owner(house)
    for call in (
        owner.set_access(other.user_id),
        owner.remove(other.user_id),
        owner.get_member(other.user_id),
    ):
        assert await outcome(call) == "MEMBER_NOT_FOUND"
    stranger = (await somebody(house)).at(owner.organization_id)
    for denied in (
        stranger.set_access(owner.user_id),
        stranger.remove(owner.user_id),
        stranger.get_member(owner.user_id),
        stranger.list_members(),
    ):
        assert await outcome(denied) == "ORGANIZATION_FORBIDDEN"


async def test_roles_that_cannot_be_assigned(house: House) -> None:
    owner, other = await an_owner(house), await an_owner(house)
    foreign = (await other.make_role()).id
    member = await owner.joined()
    await owner.set_access(member.user_id, role_ids=[DEVELOPER])
    for role_ids in (
        [UNKNOWN],
        [AUDITOR, "abc"],
        ["a\x00b"],
        [foreign],
        [DEVELOPER, DEVELOPER],
        [""],
    ):
        for call in (
            owner.set_access(member.user_id, "owner", role_ids),
            owner.make_account("ci", role_ids),
            owner.invite("a@example.com", "member", role_ids),
        ):
            assert await refusal(call) == ("INVALID_ARGUMENT", "ROLES_INVALID")
    kept = await owner.get_member(member.user_id)
    assert (kept.role, [r.id for r in kept.roles]) == (ROLES["member"], [DEVELOPER])


async def test_only_owners_change_access(house: House) -> None:
    owner = await an_owner(house)
    member, other = await owner.joined(), await owner.joined()
    for role in ("member", "owner"):
        actor = member.at(owner.organization_id, role)
        for call in (
            actor.set_access(other.user_id),
            actor.remove(other.user_id),
            actor.make_account(),
        ):
            assert await outcome(call) == "OWNER_REQUIRED"


async def test_access_may_be_changed_on_condition(house: House) -> None:
    owner = await an_owner(house)
    member = await owner.joined()
    seen = (await owner.get_member(member.user_id)).revision
    changed = await owner.set_access(member.user_id, role_ids=[DEVELOPER], if_revision=seen)
    for call in (
        owner.set_access(member.user_id, if_revision=seen),
        owner.remove(member.user_id, if_revision=seen),
    ):
        assert await refusal(call) == ("ABORTED", "REVISION_MISMATCH")
    await owner.remove(member.user_id, if_revision=changed.revision)


async def test_of_two_changes_on_one_condition_one_is_made(house: House) -> None:
    owner = await an_owner(house)
    second, member = await owner.joined("owner"), await owner.joined()
    calls = [
        outcome(a.set_access(member.user_id, role_ids=[r], if_revision=1))
        for a, r in ((owner, DEVELOPER), (second, AUDITOR))
    ]
    assert sorted(await asyncio.gather(*calls)) == ["REVISION_MISMATCH", "ok"]


async def test_a_personal_organization_has_no_members(house: House) -> None:
    owner = await somebody(house)
    # Nothing that is offered makes one; were there one, it could not be changed.
    await house.join("intruder", owner.organization_id)
    refused = await refusal(owner.set_access("intruder"))
    assert refused == ("PERMISSION_DENIED", "ORGANIZATION_PERSONAL")
    assert await outcome(owner.remove(owner.user_id)) == "LAST_OWNER"


async def test_who_is_removed_is_out_at_once(house: House) -> None:
    owner = await an_owner(house)
    member = await owner.joined()
    await owner.set_access(member.user_id, role_ids=[DEVELOPER])
    await owner.remove(member.user_id)
    gone = await refusal(house.resolve(member.user_id, owner.organization_id))
    assert gone == ("NOT_FOUND", "NOT_A_MEMBER")
    assert await outcome(member.list_members()) == "ORGANIZATION_FORBIDDEN"
    ended = {"organization_id": owner.organization_id, "user_id": member.user_id}
    assert ("membership_ended", ended) in await house.events(owner.organization_id)
    assert (await owner.audited())[-1] == ("delete", "organization_user", member.user_id)
    # The projection of a person is not the organization's to forget.
    name = "SELECT name FROM people WHERE user_id = $1"
    assert await house.database.pool.fetchval(name, member.user_id) == "Ada"


async def test_an_owner_may_go_while_another_stays(house: House) -> None:
    owner = await an_owner(house)
    assert await refusal(owner.remove(owner.user_id)) == ("PERMISSION_DENIED", "LAST_OWNER")
    await owner.make_account()
    assert await outcome(owner.remove(owner.user_id)) == "LAST_OWNER"
    await owner.joined("owner")
    await owner.remove(owner.user_id)
    assert await owners(owner) == 1


async def test_an_account_for_programs(house: House) -> None:
    owner = await an_owner(house)
    made = await owner.make_account("Nightly builds", [DEVELOPER])
    assert made.user_id.startswith("service-account-")
    assert (made.name, made.email, made.service_account) == ("Nightly builds", "", True)
    assert (made.role, [r.id for r in made.roles]) == (ROLES["member"], [DEVELOPER])
    assert await owner.get_member(made.user_id) == made
    assert made in (await owner.list_members()).members
    resolved = await house.resolve(made.user_id, owner.organization_id)
    assert list(resolved.permissions) == ["write:sandboxes"]
    assert (await owner.concerned())[-1] == made.user_id
    assert (await owner.audited())[-1] == ("create", "organization_user", made.user_id)
    refused = await refusal(owner.set_access(made.user_id, "owner"))
    assert refused == ("INVALID_ARGUMENT", "SERVICE_ACCOUNT_OWNER")
    changed = await owner.set_access(made.user_id, role_ids=[AUDITOR])
    assert (changed.service_account, [r.id for r in changed.roles]) == (True, [AUDITOR])
    await owner.remove(made.user_id)
    left = "SELECT count(*) FROM people WHERE user_id = $1"
    assert await house.database.pool.fetchval(left, made.user_id) == 0


async def test_a_personal_organization_may_have_accounts(house: House) -> None:
    owner = await somebody(house)
    made = await owner.make_account()
    assert (await owner.set_access(made.user_id, role_ids=[AUDITOR])).revision == 2


async def test_accounts_go_with_their_organization(house: House) -> None:
    owner = await an_owner(house)
    made = await owner.make_account()
    await house.delete(owner.user_id, owner.organization_id)
    left = await house.database.pool.fetch(
        "SELECT user_id FROM people WHERE user_id = ANY($1)", [made.user_id, owner.user_id]
    )
    assert [r[0] for r in left] == [owner.user_id]


@pytest.mark.parametrize("name", ["", " \t", "x" * 256, "<script>", "https://x", "a\x07"])
async def test_what_is_no_name_of_an_account(house: House, name: str) -> None:
    refused = await refusal((await an_owner(house)).make_account(name))
    assert refused == ("INVALID_ARGUMENT", "SERVICE_ACCOUNT_NAME_INVALID")


async def test_an_account_is_made_once_for_a_key(house: House) -> None:
    owner = await an_owner(house)
    made = await asyncio.gather(*(owner.make_account("one", key="k") for _ in range(5)))
    assert len({m.user_id for m in made}) == 1
    assert await outcome(owner.make_account("two", key="k")) == "IDEMPOTENCY_KEY_REUSED"


async def test_an_organization_has_so_many_accounts_and_no_more(house: House) -> None:
    owner = await an_owner(house)
    await house.database.pool.execute(
        "INSERT INTO members (organization_id, user_id, role, service_account)"
        " SELECT $1, 'account-' || n, 'member', true FROM generate_series(2, $2::int) n",
        owner.organization_id,
        MOST_ACCOUNTS,
    )
    outcomes = await asyncio.gather(*(outcome(owner.make_account()) for _ in range(4)))
    assert sorted(outcomes) == ["SERVICE_ACCOUNT_LIMIT_REACHED"] * 3 + ["ok"]


@pytest.mark.parametrize("round_", range(20))
async def test_owners_who_demote_each_other_at_once_leave_one(house: House, round_: int) -> None:
    owner = await an_owner(house)
    second = await owner.joined("owner")
    calls = [
        outcome(owner.set_access(second.user_id)),
        outcome(second.set_access(owner.user_id)),
    ]
    assert sorted(await asyncio.gather(*calls)) == ["OWNER_REQUIRED", "ok"]
    assert await owners(owner) == 1


@pytest.mark.parametrize("round_", range(20))
async def test_an_owner_who_leaves_while_being_demoted(house: House, round_: int) -> None:
    owner = await an_owner(house)
    second = await owner.joined("owner")
    calls = [outcome(second.set_access(owner.user_id)), outcome(second.leave())]
    if round_ % 2:
        calls.reverse()
    demoted, left = await asyncio.gather(*calls)
    if round_ % 2:
        demoted, left = left, demoted
    # Whoever comes first decides: an owner that was demoted is none, and then the other is the last.
    assert (demoted, left) in (("ok", "LAST_OWNER"), ("ORGANIZATION_FORBIDDEN", "ok"))
    assert await owners(owner) == 1


@pytest.mark.parametrize("round_", range(20))
async def test_owners_who_remove_each_other_and_leave_at_once(house: House, round_: int) -> None:
    owner = await an_owner(house)
    second, third = await owner.joined("owner"), await owner.joined("owner")
    await asyncio.gather(
        outcome(owner.remove(second.user_id)),
        outcome(second.remove(third.user_id)),
        outcome(third.set_access(owner.user_id)),
        outcome(owner.leave()),
        outcome(third.leave()),
    )
    assert await owners(owner) >= 1
    ended = [p["user_id"] for t, p in await house.events(owner.organization_id)
             if t == "membership_ended"]  # fmt: skip
    assert len(ended) == len(set(ended))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
async def test_all_pages_together_are_the_whole_list(house: House, size: int) -> None:
    owner = await an_owner(house)
    own = (await owner.make_role()).id
    # Those who joined at the same moment are told apart by their ids.
    await house.database.pool.execute(
        "INSERT INTO members (organization_id, user_id, role, created_at)"
        " SELECT $1, 'u' || n, 'member', now() + n / 3 * interval '1 microsecond' FROM generate_series(1, 7) n",
        owner.organization_id,
    )
    await house.assign("u3", owner.organization_id, DEVELOPER, AUDITOR, own)
    whole = list((await owner.list_members()).members)
    assert len(whole) == 8
    assert sorted(whole, key=lambda m: (m.create_time.ToNanoseconds(), m.user_id)) == whole
    assert await _walked(size, owner.list_members, "members") == whole
    roles = list((await owner.list_roles()).roles)
    assert await _walked(size, owner.list_roles, "roles") == roles


async def _walked(size: int, list_: Callable[[int, str], Awaitable[Any]], field: str) -> list[Any]:
    """Return all pages of a list together."""
    found: list[Any] = []
    token = ""
    while True:
        answer = await list_(size, token)
        assert len(getattr(answer, field)) <= size
        found += getattr(answer, field)
        token = answer.next_page_token
        if not token:
            return found


async def test_a_page_begins_where_one_ended(house: House) -> None:
    owner = await an_owner(house)
    token = (await owner.list_roles(1)).next_page_token
    for call in (
        owner.list_members(1, "x"),
        owner.list_members(1, token),
        owner.list_roles(1, token + "!"),
        owner.list_roles(1, "WyJhYmMiXQ"),
        owner.list_members(1, "Wzk5OTk5OTk5OTk5OTk5OTk5OSwiYSJd"),
        owner.list_invitations(1, token),
        owner.list_invitations(1, "WzEsImEiXQ"),
    ):
        assert await refusal(call) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")
    # Whoever stands where a page ended may be gone by then.
    member = await owner.joined()
    ended = (await owner.list_members(1)).next_page_token
    await owner.remove(member.user_id)
    assert list((await owner.list_members(1, ended)).members) == []
