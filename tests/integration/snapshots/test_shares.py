"""Snapshots shared between organizations: who finds what, until when, and who is told."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from ratoon.events.v1 import event_pb2
from ratoon.orgs.v1 import organization_service_pb2 as orgs_pb
from ratoon.snapshots.v1 import snapshot_pb2
from services.snapshots.commands.share_ends import end_expired
from services.snapshots.domain import MOST_SHARES
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import Member, World, refused
from tests.soak import rounds

READ, USE = snapshot_pb2.SHARE_RIGHT_READ, snapshot_pb2.SHARE_RIGHT_USE
CHANGES = ("snapshot_shared", "snapshot_unshared")
NOT_FOUND = ("SNAPSHOT_NOT_FOUND", grpc.StatusCode.NOT_FOUND)


@pytest.fixture
def you(world: World) -> Member:
    return world.member()


@pytest.fixture
def stranger(world: World) -> Member:
    return world.member()


async def expire(world: World, snapshot: str) -> None:
    """Let the shares of a snapshot end in this moment."""
    await world.database.pool.execute(
        "UPDATE shares SET expires_at = clock_timestamp() WHERE snapshot_id = $1", UUID(snapshot)
    )


async def listed(member: Member, **wanted: Any) -> list[str]:
    page = await member.page(**wanted)
    assert page.total_size == len(page.snapshots)
    return [s.name for s in page.snapshots]


async def test_what_is_shared_is_found_by_name_and_id_and_in_the_list(
    me: Member, you: Member, stranger: Member
) -> None:
    made = await me.active("tools")
    share = await me.share(made.id, you)
    assert (list(share.rights), share.revision) == ([READ, USE], 1)
    assert not share.HasField("expire_time")
    for ref in (made.id, "tools"):
        found = await you.get(ref)
        assert (found.id, found.shared_by) == (made.id, me.organization)
        assert list(found.share_rights) == [READ, USE]
        own = await me.get(ref)
        assert (own.shared_by, list(own.share_rights)) == ("", [])
        async with refused(*NOT_FOUND):
            await stranger.get(ref)
    (in_list,) = (await you.page()).snapshots
    assert in_list == found
    assert await listed(stranger) == []
    assert await me.shares("tools") == await me.shares(made.id) == [you.organization]


async def test_own_names_come_first_then_shared_ones_then_general_ones(
    world: World, me: Member, you: Member
) -> None:
    made, other = await me.active("tool"), await world.member().active("tool")
    await me.share(made.id, you)
    await world.database.pool.execute(
        "UPDATE snapshots SET general = true WHERE id = $1", UUID(other.id)
    )
    assert (await you.get("tool")).id == made.id
    assert (await you.get(other.id)).id == other.id
    assert [s.id for s in (await you.page()).snapshots] == [made.id, other.id]
    own = await you.create("tool")
    assert (await you.get("tool")).id == own.id
    assert [s.id for s in (await you.page()).snapshots] == [own.id, made.id, other.id]
    await world.database.pool.execute("UPDATE snapshots SET general = false")


async def test_nobody_takes_the_place_of_a_general_snapshot_or_of_who_came_before(
    world: World, me: Member, you: Member
) -> None:
    general, mine = await world.member().active("daytona-small"), await me.active("daytona-small")
    await world.database.pool.execute(
        "UPDATE snapshots SET general = true WHERE id = $1", UUID(general.id)
    )
    async with refused("SHARE_NAME_GENERAL", grpc.StatusCode.ALREADY_EXISTS):
        await me.share(mine.id, you)
    assert (await you.get("daytona-small")).id == general.id
    await world.database.pool.execute("UPDATE snapshots SET general = false")
    await me.share(mine.id, you)
    later = world.member()
    await later.share((await later.create("daytona-small")).id, you)
    assert (await you.get("daytona-small")).id == mine.id
    assert len(await listed(you, name_contains="daytona-sm")) == 2


async def test_what_became_general_is_everybodys_and_no_more_shared(
    world: World, me: Member, you: Member, stranger: Member
) -> None:
    made = await me.active("both")
    await me.share(made.id, you, use=False)
    await world.database.pool.execute(
        "UPDATE snapshots SET general = true WHERE id = $1", UUID(made.id)
    )
    for member in (you, stranger):
        assert (await member.get("both")).shared_by == ""
        assert await listed(member) == ["both"]
        assert (await member.resolve("both")).snapshot.id == made.id
    await world.database.pool.execute("UPDATE snapshots SET general = false")
    assert (await you.get("both")).shared_by == me.organization
    async with refused(*NOT_FOUND):
        await stranger.get("both")


async def test_reading_is_not_using(world: World, me: Member, you: Member) -> None:
    made = await me.active("looked-at")
    await me.share(made.id, you, use=False)
    assert list((await you.get("looked-at")).share_rights) == [READ]
    for ref in (made.id, "looked-at"):
        async with refused("SNAPSHOT_USE_FORBIDDEN", grpc.StatusCode.PERMISSION_DENIED):
            await you.resolve(ref)
        assert (await me.resolve(ref)).snapshot.id == made.id
    await me.share(made.id, you)
    assert (await you.resolve("looked-at")).snapshot.id == made.id
    await me.unshare(made.id, you)
    async with refused(*NOT_FOUND):
        await you.resolve("looked-at")


async def test_a_receiver_changes_nothing_and_learns_nothing_of_the_owner(
    world: World, me: Member, you: Member, stranger: Member
) -> None:
    lab = orgs_pb.RegionLimits(region_id="lab", available=True)
    world.orgs.answers[me.organization] = limits(regions=(lab,))
    made = await me.create("broken", image="alpine:bad")
    claim = await world.claim()
    assert claim is not None
    await world.fail(claim)
    await world.database.pool.execute(
        "UPDATE snapshots SET region_ids = '{eu,lab}', source_sandbox_id = 'sb' WHERE id = $1",
        UUID(made.id),
    )
    await me.share(made.id, you)
    for seen in (await you.get(made.id), (await you.page()).snapshots[0]):
        assert (seen.name, seen.state) == ("broken", snapshot_pb2.SNAPSHOT_STATE_ERROR)
        assert not seen.HasField("failure")
        assert not seen.HasField("progress")
        assert (seen.source_sandbox_id, list(seen.region_ids)) == ("", ["eu"])
    assert (await me.get(made.id)).failure.code == "IMAGE_NOT_FOUND"
    assert await listed(you, source_sandbox_id="sb") == []
    assert await listed(you, name_contains="rok") == ["broken"]
    for change in (you.delete, you.activate, you.deactivate, you.shares):
        async with refused(*NOT_FOUND):
            await change(made.id)
    for ref in (made.id, "broken"):
        async with refused(*NOT_FOUND):
            await you.share(ref, stranger)
        async with refused(*NOT_FOUND):
            await you.shared(ref, you)
        async with refused(*NOT_FOUND):
            await you.unshare(ref, stranger)
    async with refused("BUILD_NOT_FOUND"):
        await you.logs(made.id)


async def test_work_under_way_is_its_owners_to_watch(me: Member, you: Member) -> None:
    made = await me.create("coming")
    await me.share(made.id, you)
    assert (await me.get(made.id)).HasField("progress")
    for seen in (await you.get(made.id), (await you.page()).snapshots[0]):
        assert not seen.HasField("progress")


async def test_a_share_ends_at_its_moment(world: World, me: Member, you: Member) -> None:
    made = await me.active("lent")
    until = datetime.now(UTC) + timedelta(hours=1)
    share = await me.share(made.id, you, expires=until)
    assert share.expire_time.ToDatetime(UTC) == until
    assert (await you.get("lent")).id == made.id
    await expire(world, made.id)
    for ref in (made.id, "lent"):
        async with refused(*NOT_FOUND):
            await you.get(ref)
    assert await listed(you) == await listed(you, name_contains="lent") == []
    assert await me.shares(made.id) == []
    async with refused("SHARE_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        await me.shared(made.id, you)
    async with refused("SHARE_NOT_FOUND"):
        await me.unshare(made.id, you)
    async with refused(*NOT_FOUND):
        await you.unshare(made.id, you)
    # What is over was not there: it begins anew.
    async with refused("REVISION_MISMATCH", grpc.StatusCode.ABORTED):
        await me.share(made.id, you, if_revision=1)
    assert (await me.share(made.id, you)).revision == 1
    assert (await you.get("lent")).id == made.id


async def test_a_share_is_changed_on_condition_and_repeated_for_nothing(
    me: Member, you: Member
) -> None:
    made = await me.active("fair")
    first = await me.share(made.id, you, use=False)
    again = await me.share(made.id, you, use=False, if_revision=1)
    assert again == first
    second = await me.share(made.id, you, if_revision=1)
    assert (second.revision, second.create_time) == (2, first.create_time)
    for change in (me.share, me.unshare):
        async with refused("REVISION_MISMATCH", grpc.StatusCode.ABORTED):
            await change(made.id, you, if_revision=1)
    assert await me.shared("fair", you) == second
    await me.unshare(made.id, you, if_revision=2)
    async with refused("SHARE_NOT_FOUND"):
        await me.unshare(made.id, you)
    told = await me.told(*CHANGES)
    assert [(type_, said.get("rights")) for type_, said, _ in told] == [
        ("snapshot_shared", ["read"]),
        ("snapshot_shared", ["read", "use"]),
        ("snapshot_unshared", None),
    ]


async def test_both_sides_are_told_and_only_the_acting_one_by_whom(me: Member, you: Member) -> None:
    made = await me.active("told")
    by = "user-" + me.organization
    await me.share(made.id, you)
    await me.unshare(made.id, you)
    await me.share(made.id, you)
    await you.unshare(made.id, you)
    mine, yours = await me.told(*CHANGES), await you.told(*CHANGES)
    assert [(t, said) for t, said, _ in mine] == [(t, said) for t, said, _ in yours]
    assert [said.get("cause") for _, said, _ in mine] == [None, "withdrawn", None, "declined"]
    assert [user for _, _, user in mine] == [by, by, by, ""]
    assert [user for _, _, user in yours] == ["", "", "", "user-" + you.organization]
    who = {"owner_id": me.organization, "receiver_id": you.organization}
    assert all(said.items() >= who.items() and said["name"] == "told" for _, said, _ in mine)


async def test_a_receiver_does_without_by_id(me: Member, you: Member, stranger: Member) -> None:
    made = await me.active("unwanted")
    await me.share(made.id, you)
    async with refused("SNAPSHOT_ID_REQUIRED", grpc.StatusCode.INVALID_ARGUMENT):
        await you.unshare("unwanted", you)
    for nobody in (stranger, you):
        async with refused(*NOT_FOUND):
            await nobody.unshare(str(uuid4()), nobody)
    async with refused(*NOT_FOUND):
        await stranger.unshare(made.id, stranger)
    async with refused("SHARE_NOT_FOUND"):
        await me.unshare(made.id, me)
    await you.unshare(made.id, you)
    assert await listed(you) == await me.shares(made.id) == []


async def test_whether_an_organization_exists_is_not_told(
    world: World, me: Member, you: Member
) -> None:
    made = await me.active("asked")
    gone, nobody = str(uuid4()), str(uuid4())
    world.orgs.deleted.add(gone)
    shares = [await me.share(made.id, who) for who in (you.organization, gone, nobody)]
    for share in shares:
        share.ClearField("receiver_id")
        share.ClearField("create_time")
        share.ClearField("update_time")
    assert shares[0] == shares[1] == shares[2]
    assert await me.shares(made.id) == sorted((you.organization, gone, nobody), key=UUID)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"receiver_id": "you"}, "SHARE_RECEIVER_INVALID"),
        ({"receiver_id": "me"}, "SHARE_RECEIVER_INVALID"),
        ({"receiver_id": "a\0b"}, "SHARE_RECEIVER_INVALID"),
        ({"rights": []}, "SHARE_RIGHTS_INVALID"),
        ({"rights": [0]}, "SHARE_RIGHTS_INVALID"),
        ({"rights": [USE, 9]}, "SHARE_RIGHTS_INVALID"),
        ({"expires": datetime(2020, 1, 1, tzinfo=UTC)}, "SHARE_EXPIRY_INVALID"),
    ],
)
async def test_what_cannot_be_shared_is_refused(
    me: Member, you: Member, change: dict[str, Any], reason: str
) -> None:
    made = await me.create("odd")
    receiver = change.pop("receiver_id", you.organization)
    receiver = me.organization if receiver == "me" else receiver
    async with refused(reason, grpc.StatusCode.INVALID_ARGUMENT):
        await me.share(made.id, receiver, **change)
    assert await me.shares(made.id) == []


async def test_a_snapshot_is_shared_by_its_id(me: Member, you: Member) -> None:
    await me.create("by-name")
    for change in (me.share, me.unshare):
        async with refused("SNAPSHOT_ID_REQUIRED", grpc.StatusCode.INVALID_ARGUMENT):
            await change("by-name", you)
        for unknown in (str(uuid4()), "nothing", "a\0b"):
            async with refused(*NOT_FOUND):
                await change(unknown, you)


async def test_so_many_shares_and_no_more(world: World, me: Member, you: Member) -> None:
    made = await me.create("popular")
    await world.database.pool.execute(
        "INSERT INTO shares (snapshot_id, receiver_id, name, may_use)"
        " SELECT $1, gen_random_uuid(), 'popular', true FROM generate_series(1, $2)",
        UUID(made.id),
        MOST_SHARES - 1,
    )
    racers = [str(uuid4()) for _ in range(4)]
    ends = await asyncio.gather(*(me.share(made.id, who) for who in racers), return_exceptions=True)
    assert sum(not isinstance(end, Exception) for end in ends) == 1
    assert len(await me.shares(made.id)) == MOST_SHARES
    async with refused("SHARE_LIMIT_REACHED", grpc.StatusCode.FAILED_PRECONDITION):
        await me.share(made.id, you)
    # One that is there can still be changed, and what has expired leaves its place.
    await me.share(made.id, (await me.shares(made.id))[0], use=False)
    await expire(world, made.id)
    await me.share(made.id, you)
    assert await me.shares(made.id) == [you.organization]


async def test_deleting_a_snapshot_ends_its_shares(world: World, me: Member, you: Member) -> None:
    made = await me.active("gone")
    await me.share(made.id, you)
    await me.delete(made.id)
    assert await listed(you) == []
    async with refused(*NOT_FOUND):
        await you.get(made.id)
    async with refused("SNAPSHOT_STATE_CONFLICT"):
        await me.share(made.id, you)
    assert [said.get("cause") for _, said, _ in await you.told(*CHANGES)] == [None, "removed"]
    assert len(await me.told(*CHANGES)) == 1
    await world.erase_all()


async def test_deleting_the_receiver_ends_what_is_shared_with_it(
    world: World, me: Member, you: Member, stranger: Member
) -> None:
    made, other = await me.active("kept"), await me.create("kept-2")
    for receiver in (you, stranger):
        for snapshot in (made, other):
            await me.share(snapshot.id, receiver)
    deleted = event_pb2.OrganizationDeleted(organization_id=you.organization)
    await world.orgs.say(
        event_pb2.Event(organization_id=you.organization, organization_deleted=deleted)
    )
    async with asyncio.timeout(20):
        while you.organization in await me.shares(made.id):
            await asyncio.sleep(0)
    assert await me.shares(made.id) == await me.shares(other.id) == [stranger.organization]
    ended = [(said["receiver_id"], by) for t, said, by in await me.told("snapshot_unshared")]
    assert ended == [(you.organization, "")] * 2
    assert await you.told("snapshot_unshared") == []


async def _ends(member: Member, count: int) -> list[tuple[str, str]]:
    """Return causes of ended shares and who ended them, as soon as a member was told of so many."""
    async with asyncio.timeout(20):
        while len(told := await member.told("snapshot_unshared")) < count:
            await asyncio.sleep(0.01)
    return [(said["cause"], by) for _, said, by in told]


async def test_both_sides_are_told_when_a_share_expires(me: Member, you: Member) -> None:
    """Nobody asks for it, and what was prolonged does not end."""
    soon = datetime.now(UTC) + timedelta(seconds=1)
    made = [await me.create(f"lent-{n}") for n in range(4)]
    for snapshot in made:
        await me.share(snapshot.id, you, expires=soon)
    await me.share(made[0].id, you, expires=soon + timedelta(hours=1))
    await me.share(made[1].id, you)
    for side in (me, you):
        assert await _ends(side, 2) == [("expired", "")] * 2
    assert soon <= datetime.now(UTC) < soon + timedelta(seconds=20)
    ended = {said["snapshot_id"] for _, said, _ in await you.told("snapshot_unshared")}
    assert ended == {snapshot.id for snapshot in made[2:]}
    assert sorted(await listed(you)) == ["lent-0", "lent-1"]


async def test_of_several_who_end_what_has_expired_one_tells(
    world: World, me: Member, you: Member
) -> None:
    made = [await me.create(f"over-{n}") for n in range(10)]
    for snapshot in made:
        await me.share(snapshot.id, you)
        await expire(world, snapshot.id)

    async def end() -> None:
        more = True
        while more:
            async with world.database.sessions.begin() as session:
                more = await end_expired(session, limit=2)

    await asyncio.gather(*(end() for _ in range(3)))
    for side in (me, you):
        told = [said["snapshot_id"] for _, said, _ in await side.told("snapshot_unshared")]
        assert sorted(told) == sorted(snapshot.id for snapshot in made)


async def test_what_had_expired_is_told_so_by_whoever_finds_it(
    world: World, me: Member, you: Member
) -> None:
    """Sharing anew, removing the snapshot, or the receiver's end: a share that was over before has expired."""
    shared, removed = await me.create("shared-anew"), await me.create("removed")
    for snapshot in (shared, removed):
        await me.share(snapshot.id, you)
        await expire(world, snapshot.id)
    await me.share(shared.id, you)
    await me.delete(removed.id)
    for side in (me, you):
        assert await _ends(side, 2) == [("expired", "")] * 2
    kinds = [
        type_ for type_, said, _ in await you.told(*CHANGES) if said["snapshot_id"] == shared.id
    ]
    assert kinds == ["snapshot_shared", "snapshot_unshared", "snapshot_shared"]


async def test_withdrawing_leaves_what_is_stored(world: World, me: Member, you: Member) -> None:
    """Nothing is kept for a receiver: one artifact, whoever sees it."""
    made = await me.active("once")
    count = "SELECT (SELECT count(*) FROM artifacts), (SELECT count(*) FROM blobs)"
    before = tuple(await world.database.pool.fetchrow(count) or ())
    await me.share(made.id, you)
    assert tuple(await world.database.pool.fetchrow(count) or ()) == before
    await me.unshare(made.id, you)
    assert tuple(await world.database.pool.fetchrow(count) or ()) == before
    assert (await me.get(made.id)).ref == made.ref
    assert await you.usage() == (0, 0)


async def test_sharing_races_with_withdrawing_and_removing(world: World, stranger: Member) -> None:
    """Whatever comes first: after a withdrawal nothing is seen, after a removal no share is left, nobody is told twice."""
    for _ in range(rounds(25, 500)):
        seed = random.randrange(2**32)
        dice = random.Random(seed)
        me, you = world.member(), world.member()
        made = await me.create("raced")
        acts: list[Any] = [
            me.share(made.id, you, use=dice.random() < 0.5) for _ in range(dice.randint(1, 3))
        ]
        acts += [me.unshare(made.id, you) for _ in range(dice.randint(0, 2))]
        acts += [you.unshare(made.id, you) for _ in range(dice.randint(0, 1))]
        removed = dice.random() < 0.4
        if removed:
            acts.append(me.delete(made.id))
        dice.shuffle(acts)
        ends = await asyncio.gather(*acts, return_exceptions=True)
        assert not any(_unforeseen(end) for end in ends), (seed, ends)
        left = [] if removed else await me.shares(made.id)
        assert await listed(you) == ["raced"] * len(left), seed
        rows = await world.database.pool.fetchval(
            "SELECT count(*) FROM shares WHERE snapshot_id = $1", UUID(made.id)
        )
        assert rows == len(left), seed
        said = [type_ for type_, _, _ in await you.told(*CHANGES)]
        standing = False
        for type_ in said:
            assert standing or type_ == "snapshot_shared", (seed, said)
            standing = type_ == "snapshot_shared"
        assert standing == bool(left), (seed, said)
        assert await listed(stranger) == []


def _unforeseen(end: object) -> bool:
    if not isinstance(end, BaseException):
        return False
    return not isinstance(end, grpc.aio.AioRpcError) or end.code() not in (
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
    )
