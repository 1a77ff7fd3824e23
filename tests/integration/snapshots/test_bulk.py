"""Many snapshots at once: each for itself, in the name of who asked, once."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from chassis.grpc.caller import Caller
from ratoon.events.v1 import event_pb2
from ratoon.orgs.v1 import organization_pb2
from ratoon.snapshots.v1 import bulk_job_pb2 as job_pb
from ratoon.snapshots.v1 import bulk_job_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_pb2 import (
    SNAPSHOT_STATE_ACTIVE,
    SNAPSHOT_STATE_INACTIVE,
    SNAPSHOT_STATE_PENDING,
    SNAPSHOT_STATE_REMOVING,
)
from services.snapshots.commands import bulk
from services.snapshots.commands.retirement import forget
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import Member, World, refused

ACTIVATE, DEACTIVATE, REMOVE = (
    job_pb.BULK_ACTION_ACTIVATE,
    job_pb.BULK_ACTION_DEACTIVATE,
    job_pb.BULK_ACTION_REMOVE,
)
DONE, UNCHANGED, REFUSED, WAITING = (
    job_pb.BULK_OUTCOME_DONE,
    job_pb.BULK_OUTCOME_UNCHANGED,
    job_pb.BULK_OUTCOME_REFUSED,
    job_pb.BULK_OUTCOME_WAITING,
)
INVALID, DENIED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture(autouse=True)
async def no_work_left_over(world: World) -> None:
    await finish(world)
    await world.work()
    await world.erase_all()


async def finish(world: World) -> None:
    while await world.bulk.step():
        pass


async def ask(
    me: Member, action: Any, *ids: str, metadata: Any = None, **more: Any
) -> pb.CreateBulkJobResponse:
    request = pb.CreateBulkJobRequest(
        organization_id=me.organization, action=action, snapshot_ids=ids, **more
    )
    answer: pb.CreateBulkJobResponse
    answer = await me.world.jobs.CreateBulkJob(request, metadata=metadata or me.metadata)
    return answer


async def seen(me: Member, job_id: str, **page: int) -> pb.GetBulkJobResponse:
    request = pb.GetBulkJobRequest(
        organization_id=me.organization, job_id=job_id, **{"page_size": 1000, **page}
    )
    answer: pb.GetBulkJobResponse = await me.world.jobs.GetBulkJob(request, metadata=me.metadata)
    return answer


async def do(me: Member, action: Any, *ids: str, **more: Any) -> list[tuple[int, str]]:
    """Have it done, and return what became of each."""
    job = (await ask(me, action, *ids, **more)).job
    await finish(me.world)
    found = await seen(me, job.id)
    assert found.job.HasField("finish_time")
    counted = Counter(i.outcome for i in found.items)
    told = (found.job.done, found.job.unchanged, found.job.refused)
    assert told == (counted[DONE], counted[UNCHANGED], counted[REFUSED])
    assert found.job.total == len(found.items)
    return [(i.outcome, i.code) for i in found.items]


async def states(me: Member) -> dict[str, int]:
    return {s.name: s.state for s in (await me.page()).snapshots}


async def everything(world: World, me: Member) -> dict[str, str]:
    """Make snapshots in every state that matters; return their ids, and some that are not the organization's."""
    ids = {name: (await me.active(name)).id for name in ("active", "idle", "leaving", "general")}
    await me.deactivate(ids["idle"])
    await me.delete(ids["leaving"])
    await world.set_general(ids["general"], general=True)
    ids["failed"] = (await me.create("failed", "broken:1")).id
    claim = await world.claim()
    assert claim is not None
    await world.fail(claim)
    ids["waiting"] = (await me.create("waiting", "z:1")).id
    ids["foreign"] = (await world.member().create("foreign", "y:1")).id
    return {**ids, "unknown": str(uuid4()), "no id": "active"}


_CONFLICT = (REFUSED, "SNAPSHOT_STATE_CONFLICT")
EXPECTED = {
    ACTIVATE: {
        "active": (UNCHANGED, ""),
        "idle": (DONE, ""),
        "leaving": _CONFLICT,
        "general": (UNCHANGED, ""),
        "failed": _CONFLICT,
        "waiting": (UNCHANGED, ""),
    },
    DEACTIVATE: {
        "active": (DONE, ""),
        "idle": (UNCHANGED, ""),
        "leaving": _CONFLICT,
        "general": (DONE, ""),
        "failed": _CONFLICT,
        "waiting": (DONE, ""),
    },
    REMOVE: {
        "active": (DONE, ""),
        "idle": (DONE, ""),
        "leaving": (UNCHANGED, ""),
        "general": (REFUSED, "SNAPSHOT_GENERAL"),
        "failed": (DONE, ""),
        "waiting": (DONE, ""),
    },
}
NOWHERE = dict.fromkeys(("foreign", "unknown", "no id"), (REFUSED, "SNAPSHOT_NOT_FOUND"))
TARGETS = {
    ACTIVATE: SNAPSHOT_STATE_ACTIVE,
    DEACTIVATE: SNAPSHOT_STATE_INACTIVE,
    REMOVE: SNAPSHOT_STATE_REMOVING,
}


@pytest.mark.parametrize("action", EXPECTED)
async def test_each_is_done_or_refused_for_itself(world: World, me: Member, action: Any) -> None:
    ids = await everything(world, me)
    expected: dict[str, tuple[int, str]] = {**EXPECTED[action], **NOWHERE}
    before = await states(me)
    foreseen = await ask(me, action, *ids.values(), dry_run=True)
    assert not foreseen.job.id
    assert {n: (i.outcome, i.code) for n, i in zip(ids, foreseen.items, strict=True)} == expected
    assert await states(me) == before
    said = await do(me, action, *ids.values())
    assert dict(zip(ids, said, strict=True)) == expected
    after = await states(me)
    for name, state in before.items():
        assert after[name] == (TARGETS[action] if expected[name][0] == DONE else state)
    # Once more: nothing new, and no event either.
    told = await me.events()
    again = await do(me, action, *ids.values())
    assert DONE not in [outcome for outcome, _ in again]
    assert await me.events() == told
    consuming = {SNAPSHOT_STATE_ACTIVE, SNAPSHOT_STATE_PENDING}
    assert (await me.usage())[0] == sum(s in consuming for s in after.values())
    await world.set_general(ids["general"], general=False)


async def test_what_is_done_is_done_in_the_name_of_who_asked(world: World, me: Member) -> None:
    made = [await me.active(f"n{n}") for n in range(3)]
    caller = Caller(
        credential="api_key",
        user_id="somebody",
        email="some@body.example",
        api_key_prefix="dtn",
        api_key_suffix="xyz",
        organization_id=me.organization,
        organization_role="member",
        permissions=frozenset({"write:snapshots"}),
    )
    metadata = (*world.keyring.metadata(caller), ("x-request-id", "r1"))
    await ask(me, DEACTIVATE, *(s.id for s in made), metadata=metadata)
    await finish(world)
    rows = await world.database.pool.fetch(
        "SELECT payload->>'snapshot_id', origin->>'user_id', origin->>'api_key_suffix', origin->>'request_id'"
        " FROM outbox WHERE organization_id = $1 AND payload->>'new_state' = 'inactive' ORDER BY id",
        me.organization,
    )
    wanted = sorted((s.id, "somebody", "xyz", "r1") for s in made)
    assert sorted(tuple(row) for row in rows) == wanted
    # And nobody's name sticks to what is done afterwards.
    await world.set_general(made[0].id, general=True)
    await world.set_general(made[0].id, general=False)
    assert {who for _, _, who in await me.audited()} == {"admin"}


async def test_named_by_a_part_of_the_name(world: World, me: Member) -> None:
    for name in ("web-1", "WEB-2", "we:x", "other"):
        await me.active(name)
    await world.member().active("web-3")
    job = (await ask(me, DEACTIVATE, name_contains="eb-")).job
    assert (job.total, job.organization_id, job.action) == (2, me.organization, DEACTIVATE)
    await finish(world)
    assert [i.name for i in (await seen(me, job.id)).items] == ["WEB-2", "web-1"]
    for text, found in (("e:", ["we:x"]), ("%", []), ("w", ["WEB-2", "we:x", "web-1"])):
        foreseen = await ask(me, REMOVE, name_contains=text, dry_run=True)
        assert [(i.name, i.outcome) for i in foreseen.items] == [(n, DONE) for n in found]
    nothing = (await ask(me, REMOVE, name_contains="nothing")).job
    assert (nothing.total, nothing.HasField("finish_time")) == (0, True)


async def test_one_that_is_named_twice_is_done_once(world: World, me: Member) -> None:
    made = await me.active()
    assert await do(me, DEACTIVATE, made.id, made.id) == [(DONE, "")]


async def test_a_page_of_items_and_whose_job_it_is(world: World, me: Member) -> None:
    ids = [str(uuid4()) for _ in range(5)]
    job = (await ask(me, REMOVE, *ids)).job
    waiting = await seen(me, job.id, page_size=2, skip=1)
    assert [i.snapshot_id for i in waiting.items] == ids[1:3]
    assert {i.outcome for i in waiting.items} == {WAITING}
    assert not waiting.job.HasField("finish_time")
    await finish(world)
    assert [i.snapshot_id for i in (await seen(me, job.id)).items] == ids
    for other, id_ in ((world.member(), job.id), (me, str(uuid4())), (me, "x")):
        async with refused("BULK_JOB_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            await seen(other, id_)
    for wrong in ({"page_size": 0}, {"page_size": 1001}, {"skip": -1}):
        async with refused("PAGE_INVALID", INVALID):
            await seen(me, job.id, **wrong)


async def test_what_cannot_be_asked(world: World, me: Member) -> None:
    id_ = str(uuid4())
    asked: tuple[tuple[Any, list[str], str], ...] = (
        (REMOVE, [], ""),
        (REMOVE, [id_], "x"),
        (0, [id_], ""),
        (REMOVE, ["x\0"], ""),
        (REMOVE, [], "x\0"),
    )
    for action, ids, text in asked:
        async with refused("BULK_INVALID", INVALID):
            await ask(me, action, *ids, name_contains=text)
    for dry in (True, False):
        async with refused("BULK_TOO_LARGE", INVALID):
            await ask(me, REMOVE, *(str(n) for n in range(10_001)), dry_run=dry)
    world.orgs.deleted.add(stranger := str(uuid4()))
    async with refused("ORGANIZATION_FORBIDDEN", DENIED):
        await ask(Member(world, stranger), REMOVE, id_)


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize(
    ("action", "needed"), [(ACTIVATE, "write"), (DEACTIVATE, "write"), (REMOVE, "delete")]
)
async def test_who_may_do_what(
    world: World, me: Member, action: Any, needed: str, dry: bool
) -> None:
    for held in ("write", "delete", "other"):
        caller = Caller(
            credential="api_key",
            user_id="u",
            organization_id=me.organization,
            organization_role="member",
            permissions=frozenset({f"{held}:snapshots"}),
        )
        metadata = world.keyring.metadata(caller)
        if held == needed:
            await ask(me, action, str(uuid4()), dry_run=dry, metadata=metadata)
            continue
        async with refused("PERMISSION_MISSING", DENIED):
            await ask(me, action, str(uuid4()), dry_run=dry, metadata=metadata)


async def test_the_same_key_begins_one_job(world: World, me: Member) -> None:
    id_ = str(uuid4())
    jobs = await asyncio.gather(*(ask(me, REMOVE, id_, request_id="k") for _ in range(5)))
    assert len({answer.job.id for answer in jobs}) == 1
    async with refused("IDEMPOTENCY_KEY_REUSED", grpc.StatusCode.ALREADY_EXISTS):
        await ask(me, DEACTIVATE, id_, request_id="k")
    async with refused("IDEMPOTENCY_KEY_INVALID", INVALID):
        await ask(me, REMOVE, id_, request_id="k" * 256)
    assert (await ask(me, REMOVE, id_)).job.id != jobs[0].job.id


async def test_an_organization_has_ten_jobs_at_once(world: World, me: Member) -> None:
    asking = (ask(me, REMOVE, str(uuid4())) for _ in range(15))
    said = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(isinstance(answer, pb.CreateBulkJobResponse) for answer in said) == 10
    async with refused("BULK_TOO_MANY", grpc.StatusCode.RESOURCE_EXHAUSTED):
        await ask(me, REMOVE, str(uuid4()))
    await ask(world.member(), REMOVE, str(uuid4()))
    await finish(world)
    await ask(me, REMOVE, str(uuid4()))


async def test_the_quota_is_filled_to_the_last_place(world: World, me: Member) -> None:
    made = [await me.active(f"n{n}") for n in range(8)]
    await do(me, DEACTIVATE, *(s.id for s in made))
    world.orgs.answers[me.organization] = limits(quota=5)
    said = await do(me, ACTIVATE, *(s.id for s in made))
    assert said == [(DONE, "")] * 5 + [(REFUSED, "SNAPSHOT_QUOTA_EXCEEDED")] * 3
    assert await me.usage() == (5, 8)


async def test_limits_are_those_of_the_moment(world: World, me: Member) -> None:
    made = [await me.active(f"n{n}", cpu=n + 1) for n in range(4)]
    ids = [s.id for s in made]
    await do(me, DEACTIVATE, *ids)
    suspended, smaller = limits(), limits()
    suspended.suspension.CopyFrom(organization_pb2.Suspension())
    smaller.limits.max_cpu_per_sandbox = 2
    world.orgs.answers[me.organization] = suspended
    assert await do(me, ACTIVATE, *ids) == [(REFUSED, "ORGANIZATION_SUSPENDED")] * 4
    world.orgs.answers[me.organization] = smaller
    too_large = (REFUSED, "RESOURCES_EXCEED_LIMIT")
    assert await do(me, ACTIVATE, *ids) == [(DONE, "")] * 2 + [too_large] * 2


async def test_what_the_store_lost_is_fetched_again_once_for_all(world: World, me: Member) -> None:
    made = [await me.active(f"n{n}") for n in range(3)]
    nothing = await me.active("nothing", image="nothing:1")
    never = await me.create("never", "never:1")
    ids = [s.id for s in (*made, never, nothing)]
    await do(me, DEACTIVATE, *ids)
    await world.database.pool.execute(
        "UPDATE artifacts SET stored = false WHERE organization_id = $1", UUID(me.organization)
    )
    await world.database.pool.execute(
        "UPDATE snapshots SET image_ref = '' WHERE id = $1", UUID(nothing.id)
    )
    said = await do(me, ACTIVATE, *ids)
    assert said == [(DONE, "")] * 4 + [_CONFLICT]
    claims = [await world.claim(), await world.claim()]
    assert await world.claim() is None
    fetched = sorted((c.image_ref, bool(c.digest)) for c in claims if c)
    assert fetched == [("alpine:3.20", True), ("never:1", False)]
    for claim in claims:
        assert claim is not None
        await world.finish(claim)
    assert (await states(me))["n2"] == SNAPSHOT_STATE_ACTIVE
    assert await me.usage() == (4, 5)


async def test_work_that_nobody_wants_any_more_ends(world: World, me: Member) -> None:
    made = [await me.create(f"n{n}", f"x:{n % 3}") for n in range(6)]
    assert await world.claim() is not None
    assert await do(me, DEACTIVATE, *(s.id for s in made[:5])) == [(DONE, "")] * 5
    left = await world.database.pool.fetch(
        "SELECT image_ref FROM pulls WHERE organization_id = $1", UUID(me.organization)
    )
    assert [row[0] for row in left] == ["x:2"]
    assert await me.usage() == (1, 6)


async def test_jobs_take_turns(world: World, me: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.snapshots.worker.bulk._PIECE", 2)
    other = world.member()
    long = (await ask(me, REMOVE, *(str(uuid4()) for _ in range(10)))).job
    short = (await ask(other, REMOVE, str(uuid4()))).job
    assert await world.bulk.step()
    assert await world.bulk.step()
    assert (await seen(other, short.id)).job.HasField("finish_time")
    assert (await seen(me, long.id)).job.refused == 2


async def test_several_workers_do_each_item_once(
    world: World, me: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.snapshots.worker.bulk._PIECE", 3)
    world.orgs.answers[me.organization] = limits(quota=100)
    made = [(await me.create(f"n{n}", "x:1")).id for n in range(40)]
    await world.work()
    jobs = [(await ask(me, action, *made)).job for action in (DEACTIVATE, REMOVE)]
    await asyncio.gather(*(finish(world) for _ in range(4)))
    await finish(world)
    first, second = [(await seen(me, job.id)).job for job in jobs]
    assert first.done + first.unchanged + first.refused == 40
    gone = [e for e in await me.events() if e[1] == "removing"]
    assert (len(gone), second.done) == (40, 40)
    assert await me.usage() == (0, 40)


async def test_a_piece_that_was_cut_off_is_undone_and_done_again(
    world: World, me: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await me.active(f"n{n}") for n in range(3)]
    job = (await ask(me, DEACTIVATE, *(s.id for s in made))).job

    async def fall(*_: object) -> None:
        raise OSError("cut off")

    with monkeypatch.context() as broken:
        broken.setattr(bulk, "_note", fall)
        with pytest.raises(OSError, match="cut off"):
            await world.bulk.step()
    assert await me.usage() == (3, 3)
    assert (await seen(me, job.id)).items[0].outcome == WAITING
    await finish(world)
    assert await me.usage() == (0, 3)
    assert len([e for e in await me.events() if e[1] == "inactive"]) == 3


async def test_who_cannot_be_asked_about_limits_lets_others_pass(
    world: World, me: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, other = await me.active(), world.member()
    await me.deactivate(made.id)
    first = (await ask(me, ACTIVATE, made.id)).job
    second = (await ask(other, REMOVE, str(uuid4()))).job

    async def away(*_: object) -> None:
        nothing = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing)

    with monkeypatch.context() as broken:
        broken.setattr(world.bulk._organizations, "fresh_limits_of", away)
        with pytest.raises(grpc.aio.AioRpcError):
            await world.bulk.step()
        assert await world.bulk.step()
    assert (await seen(other, second.id)).job.HasField("finish_time")
    await finish(world)
    assert (await seen(me, first.id)).job.done == 1


async def test_changed_by_others_at_the_same_time(world: World, me: Member) -> None:
    """Whoever comes first, every item ends, and the quota is exact."""
    world.orgs.answers[me.organization] = limits(quota=12)
    made = [(await me.create(f"n{n}", f"x:{n % 4}")).id for n in range(12)]
    await world.work()

    async def meddle() -> None:
        for id_ in made:
            for act in (me.deactivate, me.activate):
                await asyncio.gather(act(id_), return_exceptions=True)

    for action in (DEACTIVATE, ACTIVATE, DEACTIVATE, ACTIVATE):
        job = (await ask(me, action, *made)).job
        await asyncio.gather(meddle(), finish(world))
        found = (await seen(me, job.id)).job
        assert found.done + found.unchanged + found.refused == 12
    shown = await states(me)
    assert (await me.usage())[0] == sum(s == SNAPSHOT_STATE_ACTIVE for s in shown.values())


async def test_an_organization_that_is_deleted_leaves_no_job(world: World, me: Member) -> None:
    made = await me.active()
    await me.deactivate(made.id)
    job = (await ask(me, ACTIVATE, made.id)).job
    world.orgs.deleted.add(me.organization)
    await finish(world)
    kept = "SELECT code FROM bulk_items WHERE job_id = $1"
    items = await world.database.pool.fetch(kept, UUID(job.id))
    assert [row[0] for row in items] == ["ORGANIZATION_FORBIDDEN"]
    deleted = event_pb2.OrganizationDeleted(organization_id=me.organization)
    await world.orgs.say(
        event_pb2.Event(organization_id=me.organization, organization_deleted=deleted)
    )
    while (await me.get(made.id)).state != SNAPSHOT_STATE_REMOVING:
        await asyncio.sleep(0)
    await world.erase_all()
    async with world.database.sessions.begin() as session:
        assert await forget(session, UUID(me.organization))
    assert not await world.database.pool.fetch(kept, UUID(job.id))


async def test_deleted_between_the_look_at_its_limits_and_the_piece(
    world: World, me: Member
) -> None:
    made = await me.active()
    await me.deactivate(made.id)
    job = (await ask(me, ACTIVATE, made.id)).job
    await world.database.pool.execute(
        "UPDATE usage SET closed = true WHERE organization_id = $1", UUID(me.organization)
    )
    await finish(world)
    found = await seen(me, job.id)
    assert [(i.outcome, i.code) for i in found.items] == [(REFUSED, "ORGANIZATION_FORBIDDEN")]


async def test_what_comes_back_tells_its_size(world: World, me: Member) -> None:
    """Also where a failed attempt to fetch it again made it unknown, and somebody else's did not fail."""
    made, other = [await me.active(name) for name in ("n1", "n2")]
    await do(me, DEACTIVATE, made.id, other.id)
    lost = "UPDATE artifacts SET stored = $2 WHERE organization_id = $1"
    await world.database.pool.execute(lost, UUID(me.organization), False)
    await me.activate(made.id)
    claim = await world.claim()
    assert claim is not None
    await world.fail(claim)
    await me.retry(made.id)
    await me.deactivate(made.id)
    await me.activate(other.id)
    await world.work()
    assert await do(me, ACTIVATE, made.id) == [(DONE, "")]
    back = await me.get(made.id)
    assert (back.state, back.size_bytes) == (SNAPSHOT_STATE_ACTIVE, 123)


async def test_old_jobs_are_forgotten(world: World, me: Member) -> None:
    old, young = [(await ask(me, REMOVE, str(uuid4()))).job for _ in range(2)]
    await finish(world)
    await world.database.pool.execute(
        "UPDATE bulk_jobs SET finished_at = now() - interval '8 days' WHERE id = $1", UUID(old.id)
    )
    async with world.database.sessions.begin() as session:
        assert await bulk.forget(session) == 1
    assert (await seen(me, young.id)).job.refused == 1
    async with refused("BULK_JOB_NOT_FOUND"):
        await seen(me, old.id)


async def test_as_many_as_there_may_be(world: World, me: Member) -> None:
    job = (await ask(me, REMOVE, *(str(uuid4()) for _ in range(10_000)))).job
    await finish(world)
    found = await seen(me, job.id, skip=9_999)
    assert (found.job.refused, len(found.items)) == (10_000, 1)
