"""Invitations: who may be invited, what an invitation may become, and what its acceptance makes."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chassis.grpc.wire import from_timestamp
from ratoon.orgs.v1 import invitation_pb2 as pb
from services.orgs.domain.invitations import MOST_PENDING
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.orgs.actor import (
    AUDITOR,
    DEVELOPER,
    ROLES,
    UNKNOWN,
    age,
    an_owner,
    somebody,
)
from tests.integration.orgs.conftest import House, a_house, outcome, refusal

HOUR = timedelta(hours=1)


async def test_an_address_is_invited(house: House) -> None:
    owner = await an_owner(house)
    made = await owner.invite("Mail@Example.COM", "owner", [DEVELOPER])
    assert (made.email, made.invited_by) == ("mail@example.com", owner.email)
    assert (made.organization_id, made.organization_name) == (owner.organization_id, "Shop")
    assert (made.role, [r.id for r in made.roles]) == (ROLES["owner"], [DEVELOPER])
    assert made.status == pb.INVITATION_STATUS_PENDING
    until = from_timestamp(made.expire_time) - datetime.now(UTC)
    assert timedelta(days=7) - until < timedelta(minutes=1)
    assert made.link == f"http://localhost:3986/user/invitations?id={made.id}"
    assert list((await owner.list_invitations()).invitations) == [made]
    assert (await owner.audited())[-1] == ("create", "organization_invitation", made.id)


@pytest.mark.parametrize(
    "email",
    [
        *("", "a", "a@", "@b.c", " a@b.c", "a@b.c ", "a@b@c.d", "a b@c.d", "a@b.c\n", "a@b..c"),
        *("a@.c", "a,b@c.d", "a@b.c\x00", "<a@b.c>", "a" * 65 + "@b.c", "a@" + "b" * 253 + ".c"),
    ],
)
async def test_what_is_no_address(house: House, email: str) -> None:
    refused = await refusal((await an_owner(house)).invite(email))
    assert refused == ("INVALID_ARGUMENT", "EMAIL_INVALID")


async def test_nobody_is_invited_twice_or_for_nothing(house: House) -> None:
    owner = await an_owner(house)
    member = await owner.joined()
    await owner.invite("a@example.com")
    assert await refusal(owner.invite("A@EXAMPLE.com")) == ("ALREADY_EXISTS", "ALREADY_INVITED")
    refused = await refusal(owner.invite(member.email.upper()))
    assert refused == ("ALREADY_EXISTS", "ALREADY_A_MEMBER")
    refused = await refusal((await somebody(house)).invite("a@example.com"))
    assert refused == ("PERMISSION_DENIED", "ORGANIZATION_PERSONAL")
    for call in (
        owner.invite("b@example.com", until=datetime.now(UTC) - HOUR),
        owner.invite("b@example.com", until=datetime.fromtimestamp(0, UTC)),
    ):
        assert await refusal(call) == ("INVALID_ARGUMENT", "EXPIRY_PAST")
    assert len((await owner.list_invitations()).invitations) == 1


async def test_letters_that_look_alike_are_not_one_address(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    made = await owner.invite("kim@example.com")
    # U+212A, which becomes a k when it is written small.
    assert await guest.own_invitations(email="\u212aim@example.com") == []
    assert await outcome(guest.accept(made.id, email="\u212aim@example.com")) == (
        "INVITATION_NOT_FOUND"
    )


async def test_after_an_end_an_address_is_invited_again(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    first = await owner.invite(guest.email)
    await age(owner, first.id)
    assert list((await owner.list_invitations()).invitations) == []
    assert await guest.own_invitations() == []
    second = await owner.invite(guest.email)
    await owner.cancel(second.id)
    third = await owner.invite(guest.email)
    await guest.decline(third.id)
    fourth = await owner.invite(guest.email)
    assert len({i.id for i in (first, second, third, fourth)}) == 4
    assert await guest.own_invitations() == [_without_link(fourth)]
    assert await outcome(guest.accept(first.id)) == "INVITATION_EXPIRED"


def _without_link(invitation: pb.Invitation) -> pb.Invitation:
    """Return the invitation as it is shown to whom it is for."""
    shown = pb.Invitation()
    shown.CopyFrom(invitation)
    shown.link = ""
    return shown


async def test_what_is_offered_can_be_changed(house: House) -> None:
    owner = await an_owner(house)
    made = await owner.invite("a@example.com", role_ids=[DEVELOPER])
    kept = await owner.change_invitation(made.id, "owner", [AUDITOR])
    assert (kept.role, [r.id for r in kept.roles]) == (ROLES["owner"], [AUDITOR])
    assert (kept.expire_time, kept.revision) == (made.expire_time, made.revision + 1)
    until = datetime.now(UTC).replace(microsecond=0) + HOUR
    later = await owner.change_invitation(made.id, "member", until=until, if_revision=kept.revision)
    assert (from_timestamp(later.expire_time), list(later.roles)) == (until, [])
    assert later.link == made.link
    for call, reason in (
        (owner.change_invitation(made.id, until=until - 2 * HOUR), "EXPIRY_PAST"),
        (owner.change_invitation(made.id, role_ids=[UNKNOWN]), "ROLES_INVALID"),
        (owner.change_invitation(made.id, if_revision=made.revision), "REVISION_MISMATCH"),
        (owner.cancel(made.id, if_revision=made.revision), "REVISION_MISMATCH"),
    ):
        assert await outcome(call) == reason
    assert list((await owner.list_invitations()).invitations) == [later]
    assert (await owner.audited())[-1] == ("update", "organization_invitation", made.id)
    await owner.cancel(made.id, if_revision=later.revision)
    assert (await owner.audited())[-1] == ("delete", "organization_invitation", made.id)


async def test_acceptance_makes_a_member(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    own = (await owner.make_role()).id
    made = await owner.invite(guest.email, "member", [own, AUDITOR])
    assert await guest.own_invitations() == [_without_link(made)]
    accepted = await guest.accept(made.id)
    assert accepted.status == pb.INVITATION_STATUS_ACCEPTED
    assert (accepted.id, accepted.organization_name, accepted.link) == (made.id, "Shop", "")
    assert [r.id for r in accepted.roles] == [AUDITOR, own]
    assert accepted.revision == made.revision + 1
    member = await owner.get_member(guest.user_id)
    assert (member.role, [r.id for r in member.roles]) == (ROLES["member"], [AUDITOR, own])
    assert (await owner.concerned())[-1] == guest.user_id
    assert (await owner.audited())[-1] == ("accept", "organization_invitation", made.id)
    assert await guest.own_invitations() == []
    assert list((await owner.list_invitations()).invitations) == []


async def test_an_owner_can_be_invited_and_roles_need_not_be(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    accepted = await guest.accept((await owner.invite(guest.email, "owner")).id)
    assert (accepted.role, list(accepted.roles)) == (ROLES["owner"], [])
    await owner.leave()
    assert (await guest.at(owner.organization_id).get_member(guest.user_id)).role == ROLES["owner"]


async def test_what_is_over_stays_over(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    accepted = await owner.invite(guest.email)
    await guest.accept(accepted.id)
    other = await somebody(house)
    cancelled, declined = await owner.invite(other.email), None
    await owner.cancel(cancelled.id)
    declined = await owner.invite(other.email)
    await other.decline(declined.id)
    assert (await owner.audited())[-1] == ("decline", "organization_invitation", declined.id)
    for who, id_ in ((guest, accepted.id), (other, cancelled.id), (other, declined.id)):
        for call in (
            who.accept(id_),
            who.decline(id_),
            owner.cancel(id_),
            owner.change_invitation(id_),
            owner.resend(id_),
        ):
            assert await refusal(call) == ("PERMISSION_DENIED", "INVITATION_NOT_PENDING")
    await age(owner, declined.id)
    for call in (
        other.accept(declined.id),
        other.decline(declined.id),
        owner.cancel(declined.id),
        owner.change_invitation(declined.id),
        owner.resend(declined.id),
    ):
        assert await refusal(call) == ("PERMISSION_DENIED", "INVITATION_EXPIRED")


async def test_what_is_for_somebody_else_looks_like_nothing(house: House) -> None:
    owner, guest, other = await an_owner(house), await somebody(house), await somebody(house)
    made = await owner.invite(guest.email)
    for id_ in (made.id, UNKNOWN, "abc", "a\x00b", ""):
        for call in (other.accept(id_), other.decline(id_)):
            assert await refusal(call) == ("NOT_FOUND", "INVITATION_NOT_FOUND")
    foreign = await an_owner(house)
    for id_ in (made.id, UNKNOWN, "abc", "a\x00b", ""):
        for call in (
            foreign.cancel(id_),
            foreign.change_invitation(id_),
            foreign.resend(id_),
        ):
            assert await refusal(call) == ("NOT_FOUND", "INVITATION_NOT_FOUND")
    assert await guest.own_invitations() == [_without_link(made)]


async def test_an_unverified_address_accepts_nothing_and_learns_nothing(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    made = await owner.invite(guest.email)
    for id_ in (made.id, UNKNOWN, "abc"):
        refused = await refusal(guest.accept(id_, email_verified=False))
        assert refused == ("PERMISSION_DENIED", "EMAIL_NOT_VERIFIED")
    await guest.decline(made.id, email_verified=False)


async def test_the_address_is_compared_as_it_is_kept(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    made = await owner.invite("Guest.Of@Example.com")
    said = " GUEST.of@example.COM "
    assert [i.id for i in await guest.own_invitations(email=said)] == [made.id]
    await guest.accept(made.id, email=said)


async def test_who_has_no_address_has_no_invitation(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    made = await owner.invite(guest.email)
    assert await guest.own_invitations(email="") == []
    for call in (guest.accept(made.id, email=""), guest.decline(made.id, email="")):
        assert await outcome(call) == "INVITATION_NOT_FOUND"


async def test_a_membership_is_never_changed_by_an_invitation(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    made = await owner.invite(guest.email, "member", [AUDITOR])
    await house.join(guest.user_id, owner.organization_id, "owner")
    before = await owner.get_member(guest.user_id)
    assert await refusal(guest.accept(made.id)) == ("ALREADY_EXISTS", "ALREADY_A_MEMBER")
    assert await owner.get_member(guest.user_id) == before
    assert [i.id for i in await guest.own_invitations()] == [made.id]


async def test_a_key_of_one_organization_answers_no_invitations(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    made = await owner.invite(guest.email)
    key = {"credential": "api_key", "organization_id": guest.organization_id}
    assert await outcome(guest.own_invitations(**key)) == "ACCOUNT_KEY_REQUIRED"
    assert await outcome(guest.accept(made.id, **key)) == "ACCOUNT_KEY_REQUIRED"
    account = {"credential": "api_key", "account_key": True}
    assert [i.id for i in await guest.own_invitations(**account)] == [made.id]
    await guest.accept(made.id, **account)


async def test_only_owners_invite_and_only_who_looks_after_members_sees(house: House) -> None:
    owner = await an_owner(house)
    made = await owner.invite("a@example.com")
    member = await owner.joined()
    for role in ("member", "owner"):
        actor = member.at(owner.organization_id, role)
        for call in (
            actor.invite("b@example.com"),
            actor.change_invitation(made.id),
            actor.cancel(made.id),
            actor.resend(made.id),
        ):
            assert await outcome(call) == "OWNER_REQUIRED"
    assert [i.id for i in (await member.list_invitations()).invitations] == [made.id]
    stranger = (await somebody(house)).at(owner.organization_id)
    assert await outcome(stranger.list_invitations()) == "ORGANIZATION_FORBIDDEN"
    assert await outcome(stranger.invite("b@example.com")) == "ORGANIZATION_FORBIDDEN"


async def test_the_invitations_of_a_deleted_organization_are_none(house: House) -> None:
    owner, guest = await an_owner(house), await somebody(house)
    own = (await owner.make_role()).id
    made = await owner.invite(guest.email, role_ids=[own])
    await owner.set_access((await owner.joined()).user_id, role_ids=[own])
    await house.delete(owner.user_id, owner.organization_id)
    assert await guest.own_invitations() == []
    for call in (guest.accept(made.id), guest.decline(made.id)):
        assert await outcome(call) == "INVITATION_NOT_FOUND"


async def test_an_invitation_is_made_once_for_a_key(house: House) -> None:
    owner = await an_owner(house)
    made = await asyncio.gather(*(owner.invite("a@example.com", key="k") for _ in range(5)))
    assert all(i == made[0] for i in made)
    assert await outcome(owner.invite("b@example.com", key="k")) == "IDEMPOTENCY_KEY_REUSED"


async def test_so_many_are_pending_and_no_more(house: House) -> None:
    owner = await an_owner(house)
    await house.database.pool.execute(
        "INSERT INTO invitations (id, organization_id, email, invited_by, role, expires_at, status)"
        " SELECT gen_random_uuid(), $1, n || '@example.com', '', 'member', now() + interval '1 day', 'pending'"
        " FROM generate_series(2, $2::int) n",
        owner.organization_id,
        MOST_PENDING,
    )
    calls = [outcome(owner.invite(f"{n}@example.net")) for n in range(4)]
    assert sorted(await asyncio.gather(*calls)) == ["INVITATION_LIMIT_REACHED"] * 3 + ["ok"]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_all_pages_of_invitations_are_the_whole_list(house: House, size: int) -> None:
    owner = await an_owner(house)
    for n in range(6):
        await owner.invite(f"{n}@example.com", role_ids=[DEVELOPER, AUDITOR][: n % 3])
    # Those made at the same moment are told apart by their ids.
    await house.database.pool.execute(
        "UPDATE invitations SET created_at = now() WHERE organization_id = $1 AND email > '3'",
        owner.organization_id,
    )
    whole = list((await owner.list_invitations()).invitations)
    assert sorted(whole, key=lambda i: (i.create_time.ToNanoseconds(), i.id)) == whole
    found: list[pb.Invitation] = []
    token = ""
    while True:
        answer = await owner.list_invitations(size, token)
        assert len(answer.invitations) <= size
        found += answer.invitations
        token = answer.next_page_token
        if not token:
            break
    assert found == whole
    assert len(found) == 6


async def test_an_installation_may_do_without_verification(
    make_database: MakeDatabase, keyring: Keyring, tmp_path: Path
) -> None:
    url = await make_database("services.orgs")
    async with a_house(url, keyring, tmp_path, skip_email_verification=True) as house:
        owner, guest = await an_owner(house), await somebody(house)
        made = await owner.invite(guest.email)
        await guest.accept(made.id, email_verified=False)
