"""CreateSnapshot: what is made, what is refused, and that a refusal costs nothing."""

import asyncio
from typing import Any
from uuid import UUID

import grpc
import pytest

from chassis.grpc.status import error_info
from ratoon.events.v1 import event_pb2
from ratoon.orgs.v1 import organization_pb2, region_pb2
from ratoon.orgs.v1 import organization_service_pb2 as orgs_pb
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_pb2 import (
    SNAPSHOT_STATE_ACTIVE,
    SNAPSHOT_STATE_PENDING,
    SNAPSHOT_STATE_PULLING,
)
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import DIGEST, Member, World, refused
from tests.soak import rounds

INVALID = grpc.StatusCode.INVALID_ARGUMENT
_BUILD: dict[str, Any] = {"image": "", "build": pb.Build(dockerfile="FROM alpine:3.20\n")}


async def test_a_new_snapshot_is_pending_with_the_published_defaults(me: Member) -> None:
    made = await me.create("Team/Img_1.2:dev-3")
    assert UUID(made.id).version == 4
    assert (made.name, made.state) == ("Team/Img_1.2:dev-3", SNAPSHOT_STATE_PENDING)
    assert (made.cpu, made.gpu, made.memory, made.disk) == (1, 0, 1, 3)
    assert list(made.region_ids) == ["eu"]
    assert (made.general, made.ref, list(made.entrypoint)) == (False, "", [])
    assert not made.HasField("size_bytes")
    assert not made.HasField("last_use_time")
    assert not made.HasField("failure")
    assert made.create_time == made.update_time
    assert await me.usage() == (1, 1)
    assert await me.events() == [("snapshot_created", "pending")]


async def test_what_create_answers_is_what_get_answers(me: Member) -> None:
    made = await me.create(entrypoint=["sleep", " ", "infinity"], cpu=2, gpu=1, memory=4, disk=5)
    assert list(made.entrypoint) == ["sleep", "infinity"]
    got = await me.get(made.id)
    assert got.progress.phase == "waiting"
    got.ClearField("progress")
    assert got == made


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"name": ""}, "SNAPSHOT_NAME_INVALID"),
        ({"name": "my snap"}, "SNAPSHOT_NAME_INVALID"),
        ({"name": "a\0b"}, "SNAPSHOT_NAME_INVALID"),
        ({"image": ""}, "IMAGE_OR_BUILD_REQUIRED"),
        ({"image": "alpine"}, "IMAGE_REF_UNPINNED"),
        ({"image": "a b:1"}, "IMAGE_REF_INVALID"),
        ({"image": "", "build": pb.Build()}, "IMAGE_OR_BUILD_REQUIRED"),
        ({"build": pb.Build(dockerfile="FROM a")}, "IMAGE_AND_BUILD"),
        ({**_BUILD, "entrypoint": ["sh"]}, "ENTRYPOINT_WITH_BUILD"),
        ({"entrypoint": ["a\0"]}, "ENTRYPOINT_INVALID"),
        ({"cpu": 0}, "RESOURCES_INVALID"),
        ({"gpu": -1}, "RESOURCES_INVALID"),
        ({"cpu": 5}, "RESOURCES_EXCEED_LIMIT"),
        ({"memory": 9}, "RESOURCES_EXCEED_LIMIT"),
        ({"disk": 11}, "RESOURCES_EXCEED_LIMIT"),
    ],
)
async def test_a_bad_request_is_refused_and_costs_nothing(
    me: Member, given: dict[str, Any], reason: str
) -> None:
    async with refused(reason, INVALID):
        await me.create(**given)
    assert await me.usage() == (0, 0)
    assert await me.events() == []


async def test_who_loses_every_race_is_told_to_try_again(
    me: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.snapshots.commands.create._ATTEMPTS", 0)
    async with refused("SNAPSHOT_BUSY", grpc.StatusCode.ABORTED):
        await me.create()
    assert await me.usage() == (0, 0)


async def test_no_builder_is_said_only_of_requests_in_order(me: Member) -> None:
    async with refused("BUILDER_UNAVAILABLE", grpc.StatusCode.FAILED_PRECONDITION):
        await me.create(**_BUILD)
    async with refused("SNAPSHOT_NAME_INVALID"):
        await me.create("a b", **_BUILD)


async def test_the_maximum_itself_is_allowed_and_a_region_may_say_otherwise(
    world: World, me: Member
) -> None:
    small = orgs_pb.RegionLimits(
        region_id="small", available=True, max_cpu_per_sandbox=1, type=region_pb2.REGION_TYPE_CUSTOM
    )
    world.orgs.answers[me.organization] = limits(regions=(small,))
    await me.create(cpu=4, memory=8, disk=10)
    async with refused("RESOURCES_EXCEED_LIMIT"):
        await me.create("other", cpu=2, region_id="small")
    made = await me.create("other", cpu=1, region_id="small")
    assert list(made.region_ids) == ["small"]


async def test_regions(world: World, me: Member) -> None:
    shared = orgs_pb.RegionLimits(region_id="us", type=region_pb2.REGION_TYPE_SHARED)
    private = orgs_pb.RegionLimits(region_id="lab", type=region_pb2.REGION_TYPE_CUSTOM)
    world.orgs.answers[me.organization] = limits(regions=(shared, private))
    async with refused("REGION_FORBIDDEN", grpc.StatusCode.PERMISSION_DENIED):
        await me.create(region_id="us")
    for unknown in ("lab", "nowhere"):
        async with refused("REGION_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            await me.create(region_id=unknown)
    assert list((await me.create(region_id=" ")).region_ids) == ["eu"]


async def test_without_a_default_region_nothing_is_made(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = limits(default_region="")
    async with refused("DEFAULT_REGION_MISSING"):
        await me.create(region_id="eu")


async def test_a_suspension_counts_while_it_lasts(world: World, me: Member) -> None:
    answer = world.orgs.answers[me.organization] = limits()
    answer.suspension.CopyFrom(organization_pb2.Suspension(reason="unpaid"))
    async with refused("ORGANIZATION_SUSPENDED", grpc.StatusCode.PERMISSION_DENIED):
        await me.create()
    over = world.member()
    ended = world.orgs.answers[over.organization] = limits()
    ended.suspension.until_time.seconds = 1_000_000_000
    await over.create()


async def test_a_change_in_orgs_is_believed_at_once(world: World, me: Member) -> None:
    world.orgs.answers[me.organization] = limits(quota=0)
    async with refused("SNAPSHOT_QUOTA_EXCEEDED"):
        await me.create()
    await asyncio.gather(*(_quota_refusal(me) for _ in range(5)))
    assert world.orgs.asked.count(me.organization) == 1
    world.orgs.answers[me.organization] = limits(quota=1)
    changed = event_pb2.OrganizationChanged(organization_id=me.organization)
    event = event_pb2.Event(organization_id=me.organization, organization_changed=changed)
    await world.orgs.say(event)
    while await _outcome(me, "now") != "made":
        pass
    # Once by whoever looks after the change, once by a create that did not want to wait for that.
    assert 2 <= world.orgs.asked.count(me.organization) <= 3


async def _quota_refusal(me: Member) -> None:
    async with refused("SNAPSHOT_QUOTA_EXCEEDED"):
        await me.create()


async def test_names_are_unique_in_an_organization_and_free_in_another(
    world: World, me: Member
) -> None:
    await me.create()
    async with refused("SNAPSHOT_NAME_TAKEN", grpc.StatusCode.ALREADY_EXISTS):
        await me.create()
    await world.member().create()
    assert await me.usage() == (1, 1)


@pytest.mark.parametrize(
    ("names", "quota", "lost"),
    [
        ([f"n{i}" for i in range(10)], 1, "SNAPSHOT_QUOTA_EXCEEDED"),
        (["one"] * 10, 3, "SNAPSHOT_NAME_TAKEN"),
    ],
    ids=["place", "name"],
)
async def test_one_of_ten_gets_the_last_place_and_one_of_ten_the_name(
    world: World, names: list[str], quota: int, lost: str
) -> None:
    for _ in range(rounds(50, 1000)):
        racer = world.member()
        world.orgs.answers[racer.organization] = limits(quota=quota)
        results = await asyncio.gather(*(_outcome(racer, name) for name in names))
        assert sorted(results) == sorted(["made"] + [lost] * 9)
        assert await racer.usage() == (1, 1)
        assert len(await racer.events()) == 1


async def _outcome(racer: Member, name: str) -> str:
    try:
        await racer.create(name)
    except grpc.aio.AioRpcError as lost:
        return error_info(lost).reason
    return "made"


async def test_the_same_image_is_fetched_once_however_many_ask(world: World, me: Member) -> None:
    await world.work()
    await asyncio.gather(*(me.create(f"n{i}") for i in range(20)))
    claim = await world.claim()
    assert claim is not None
    assert await world.claim() is None
    late = await me.create("late")
    assert late.state == SNAPSHOT_STATE_PENDING
    assert (await me.get("n0")).state == SNAPSHOT_STATE_PULLING
    assert await world.finish(claim)
    page = await me.page()
    assert {s.state for s in page.snapshots} == {SNAPSHOT_STATE_ACTIVE}
    assert {s.ref for s in page.snapshots} == {f"docker.io/library/alpine@{DIGEST}"}
    assert page.total_size == 21


async def test_a_pinned_image_that_is_there_is_active_at_once(world: World, me: Member) -> None:
    await world.work()
    index = "sha256:" + "b" * 64
    await me.create("first", f"alpine@{index}")
    claim = await world.claim()
    assert claim is not None
    await world.finish(claim, entrypoint=["/init"], digests=(index,))
    for name, image in (("by-index", f"alpine@{index}"), ("by-manifest", f"x/y:1@{DIGEST}")):
        made = await me.create(name, image)
        assert made.state == SNAPSHOT_STATE_ACTIVE
        assert (made.size_bytes, list(made.entrypoint)) == (123, ["/init"])
        assert made.HasField("last_use_time")
        assert await me.get(name) == made
    own = await me.create("own", f"alpine@{index}", entrypoint=["sh"])
    assert list(own.entrypoint) == ["sh"]
    assert (await me.events())[-1] == ("snapshot_created", "active")
    stranger = await world.member().create("mine", f"alpine@{index}")
    assert stranger.state == SNAPSHOT_STATE_PENDING
    await world.work()


async def test_an_idempotency_key_makes_one_snapshot(world: World, me: Member) -> None:
    first = await me.create(request_id="k1")
    assert await me.create(request_id="k1") == first
    async with refused("IDEMPOTENCY_KEY_REUSED", grpc.StatusCode.ALREADY_EXISTS):
        await me.create("other", request_id="k1")
    answers = await asyncio.gather(*(me.create("many", request_id="k2") for _ in range(8)))
    assert len({a.id for a in answers}) == 1
    async with refused("SNAPSHOT_NAME_TAKEN"):
        await me.create("many", request_id="k3")
    assert await me.usage() == (2, 2)


async def test_an_organization_that_is_gone_makes_nothing(world: World, me: Member) -> None:
    world.orgs.deleted.add(me.organization)
    async with refused("ORGANIZATION_FORBIDDEN", grpc.StatusCode.PERMISSION_DENIED):
        await me.create()
