"""What happens to an invitation at the same moment has one outcome, and everybody is told that one."""

import asyncio
import random

import pytest

from tests.integration.orgs.actor import AUDITOR, DEVELOPER, Actor, an_owner, somebody
from tests.integration.orgs.conftest import House, outcome
from tests.soak import rounds

ROUNDS = rounds(20, 500)


async def status_of(actor: Actor, id_: str) -> str:
    found: str = await actor.house.database.pool.fetchval(
        "SELECT status FROM invitations WHERE id = $1", id_
    )
    return found


async def roles_of(owner: Actor, user_id: str) -> list[str] | None:
    """Return the roles of a member; None: it is none."""
    for member in (await owner.list_members()).members:
        if member.user_id == user_id:
            return [r.id for r in member.roles]
    return None


async def test_accepted_or_cancelled(house: House) -> None:
    chance = random.Random(1)
    seen = set()
    for _ in range(ROUNDS):
        owner, guest = await an_owner(house), await somebody(house)
        id_ = (await owner.invite(guest.email, role_ids=[DEVELOPER])).id
        calls = {"accepted": guest.accept(id_), "cancelled": owner.cancel(id_)}
        names = chance.sample(sorted(calls), 2)
        outcomes = dict(
            zip(names, await asyncio.gather(*(outcome(calls[n]) for n in names)), strict=True)
        )
        status = await status_of(owner, id_)
        assert outcomes.pop(status) == "ok"
        assert set(outcomes.values()) == {"INVITATION_NOT_PENDING"}
        joined = await roles_of(owner, guest.user_id)
        assert joined == ([DEVELOPER] if status == "accepted" else None)
        seen.add(status)
    assert seen == {"accepted", "cancelled"}


async def test_accepted_or_declined_once(house: House) -> None:
    chance = random.Random(2)
    for _ in range(ROUNDS):
        owner, guest = await an_owner(house), await somebody(house)
        id_ = (await owner.invite(guest.email)).id
        calls = [guest.accept(id_), guest.accept(id_), guest.decline(id_), guest.accept(id_)]
        chance.shuffle(calls)
        outcomes = await asyncio.gather(*map(outcome, calls))
        assert sorted(outcomes) == ["INVITATION_NOT_PENDING"] * 3 + ["ok"]
        accepted = await status_of(owner, id_) == "accepted"
        assert (await roles_of(owner, guest.user_id) is not None) == accepted
        assert (await owner.concerned()).count(guest.user_id) == int(accepted)


async def test_ten_invite_one_address(house: House) -> None:
    for _ in range(ROUNDS):
        owner = await an_owner(house)
        second = await owner.joined("owner")
        calls = [outcome(a.invite("a@example.com")) for a in (owner, second) for _ in range(5)]
        outcomes = await asyncio.gather(*calls)
        assert sorted(outcomes) == ["ALREADY_INVITED"] * 9 + ["ok"]
        assert len((await owner.list_invitations()).invitations) == 1


async def test_changed_and_accepted_is_one_or_the_other(house: House) -> None:
    for round_ in range(ROUNDS):
        owner, guest = await an_owner(house), await somebody(house)
        id_ = (await owner.invite(guest.email, role_ids=[DEVELOPER])).id
        calls = [
            outcome(owner.change_invitation(id_, role_ids=[AUDITOR])),
            outcome(guest.accept(id_)),
        ]
        if round_ % 2:
            calls.reverse()
        outcomes = await asyncio.gather(*calls)
        changed = outcomes[round_ % 2]
        assert outcomes[1 - round_ % 2] == "ok"
        assert changed in ("ok", "INVITATION_NOT_PENDING")
        joined = await roles_of(owner, guest.user_id)
        assert joined == ([AUDITOR] if changed == "ok" else [DEVELOPER])


@pytest.mark.parametrize("round_", range(10))
async def test_accepted_while_the_organization_goes(house: House, round_: int) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    id_ = (await owner.invite(guest.email)).id
    calls = [
        outcome(guest.accept(id_)),
        outcome(house.delete(owner.user_id, owner.organization_id)),
    ]
    if round_ % 2:
        calls.reverse()
    outcomes = await asyncio.gather(*calls)
    accepted = outcomes[round_ % 2]
    assert outcomes[1 - round_ % 2] == "ok"
    assert accepted in ("ok", "INVITATION_NOT_FOUND")
    told = [t for t, p in await house.events(owner.organization_id)
            if t.startswith("membership") and p["user_id"] == guest.user_id]  # fmt: skip
    assert told == (["membership_changed", "membership_ended"] if accepted == "ok" else [])


async def test_a_hundred_answers_at_once(house: House) -> None:
    """Everything of one organization at once: nothing is refused for want of time, every membership stands once."""
    owner = await an_owner(house)
    guests = [await somebody(house) for _ in range(24)]
    made = [await owner.invite(g.email, role_ids=[DEVELOPER]) for g in guests]
    calls = []
    for n, (guest, invitation) in enumerate(zip(guests, made, strict=True)):
        calls += [outcome(guest.accept(invitation.id)), outcome(guest.accept(invitation.id))]
        calls += [outcome(owner.cancel(invitation.id))] if n % 2 else []
        calls += [outcome(owner.set_access(guest.user_id, role_ids=[AUDITOR]))]
    outcomes = await asyncio.gather(*calls)
    assert set(outcomes) <= {"ok", "INVITATION_NOT_PENDING", "MEMBER_NOT_FOUND"}
    members = {m.user_id for m in (await owner.list_members()).members}
    for guest, invitation in zip(guests, made, strict=True):
        accepted = await status_of(owner, invitation.id) == "accepted"
        assert (guest.user_id in members) == accepted
