"""Snapshots that everybody may use: shown, withdrawn, counted; and whether anything refers to an image."""

import asyncio
from uuid import UUID, uuid4

import grpc
import pytest

from ratoon.events.v1 import event_pb2
from ratoon.orgs.v1 import organization_service_pb2 as orgs_pb
from ratoon.snapshots.v1 import snapshot_admin_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_pb2 import SNAPSHOT_STATE_ACTIVE, SNAPSHOT_STATE_INACTIVE
from services.snapshots.commands.general import set_general
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import DIGEST, Member, World, refused

NOT_FOUND, DENIED = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture(autouse=True)
async def no_work_left_over(world: World) -> None:
    await world.work()
    await world.erase_all()


async def test_shown_to_everybody_and_withdrawn_at_once(world: World, me: Member) -> None:
    made, other = await me.active("tools"), world.member()
    shown = await world.set_general(made.id, general=True)
    assert (shown.general, shown.id, shown.state) == (True, made.id, SNAPSHOT_STATE_ACTIVE)
    assert await world.set_general(made.id, general=True) == shown
    for ref in (made.id, "tools"):
        assert (await other.get(ref)).general
    assert [s.id for s in (await other.page()).snapshots] == [made.id]
    assert (await other.page()).total_size == (await me.page()).total_size == 1
    # It goes on taking its place of the quota; only its owner's own list is shorter.
    assert await me.usage() == (1, 0)
    for act in (other.delete, other.activate, other.deactivate, other.retry):
        async with refused("SNAPSHOT_NOT_FOUND", NOT_FOUND):
            await act(made.id)
    async with refused("SNAPSHOT_GENERAL", DENIED):
        await me.delete(made.id)
    await world.set_general(made.id, general=False)
    for ref in (made.id, "tools"):
        async with refused("SNAPSHOT_NOT_FOUND", NOT_FOUND):
            await other.get(ref)
    assert (await other.page()).total_size == 0
    assert await me.usage() == (1, 1)
    told = ("set_general_status", made.id, "admin")
    assert await me.audited() == [told, told]
    await me.delete(made.id)
    await world.erase_all()
    assert await me.usage() == (0, 0)


async def test_the_owner_may_take_it_out_of_use_and_back(world: World, me: Member) -> None:
    made, other = await me.active("tools"), world.member()
    await world.set_general(made.id, general=True)
    await me.deactivate(made.id)
    assert (await other.get("tools")).state == SNAPSHOT_STATE_INACTIVE
    assert await me.usage() == (0, 0)
    assert (await me.activate(made.id)).state == SNAPSHOT_STATE_ACTIVE
    assert await me.usage() == (1, 0)
    await world.set_general(made.id, general=False)


async def test_others_see_of_it_what_is_theirs_to_see(world: World, me: Member) -> None:
    await me.create("broken", "private.example/secret:1")
    claim = await world.claim()
    assert claim is not None
    await world.fail(claim)
    made, other = await me.get("broken"), world.member()
    world.orgs.answers[other.organization] = limits(
        regions=(orgs_pb.RegionLimits(region_id="lab", available=True),)
    )
    await world.database.pool.execute(
        "UPDATE snapshots SET region_ids = '{eu,hidden,lab}', source_sandbox_id = 'mine', use_count = 7"
        " WHERE id = $1",
        UUID(made.id),
    )
    await world.set_general(made.id, general=True)
    own = await me.get(made.id)
    assert (own.failure.code, own.source_sandbox_id, own.use_count) == (
        *("IMAGE_NOT_FOUND", "mine"),
        7,
    )
    assert list(own.region_ids) == ["eu", "hidden", "lab"]
    for seen in (await other.get("broken"), (await other.page()).snapshots[0]):
        assert not seen.HasField("failure")
        assert (seen.source_sandbox_id, seen.use_count, seen.state) == ("", 0, own.state)
        assert list(seen.region_ids) == ["eu", "lab"]
    mine = await world.member().active("mine")
    assert mine.general is False
    # Beside somebody else's general one, the owner still sees all of the own one.
    theirs = await world.member().active("theirs")
    await world.set_general(theirs.id, general=True)
    listed = {s.name: s for s in (await me.page()).snapshots}
    assert listed["broken"] == own
    for id_ in (made.id, theirs.id):
        await world.set_general(id_, general=False)


async def test_what_cannot_be_shown(world: World, me: Member) -> None:
    made = await me.active()
    for no_id in ("base", "", "x\0", made.id.replace("-", "")):
        async with refused("SNAPSHOT_ID_REQUIRED", grpc.StatusCode.INVALID_ARGUMENT):
            await world.set_general(no_id, general=True)
    async with refused("SNAPSHOT_NOT_FOUND", NOT_FOUND):
        await world.set_general(str(uuid4()), general=True)
    await me.delete(made.id)
    async with refused("SNAPSHOT_STATE_CONFLICT", grpc.StatusCode.FAILED_PRECONDITION):
        await world.set_general(made.id, general=True)
    request = pb.SetSnapshotGeneralRequest(snapshot_id=made.id, general=True)
    async with refused("SYSTEM_ADMIN_REQUIRED", DENIED):
        await world.administration.SetSnapshotGeneral(request, metadata=me.metadata)
    assert await me.audited() == []


async def test_nothing_of_an_organization_that_is_deleted_is_shown(
    world: World, me: Member
) -> None:
    made = await me.active()
    await world.database.pool.execute(
        "UPDATE usage SET closed = true WHERE organization_id = $1", UUID(me.organization)
    )
    async with refused("ORGANIZATION_FORBIDDEN", DENIED):
        await world.set_general(made.id, general=True)


async def test_shown_and_deleted_at_the_same_time(world: World, me: Member) -> None:
    """Either it is shown, and stays; or it goes, and was not."""
    for number in range(25):
        made = await me.active(f"n{number}")
        _, deleted = await asyncio.gather(
            world.set_general(made.id, general=True), me.delete(made.id), return_exceptions=True
        )
        left = await me.get(made.id)
        assert left.general == (left.state == SNAPSHOT_STATE_ACTIVE) == (deleted is not None)
        if left.general:
            await world.set_general(made.id, general=False)
            await me.delete(made.id)
        used, total = await me.usage()
        assert (used, total) == (0, number + 1)


async def test_shown_while_its_organization_is_deleted(world: World) -> None:
    for _ in range(10):
        gone = world.member()
        made = [await gone.active(f"n{n}") for n in range(3)]
        deleted = event_pb2.OrganizationDeleted(organization_id=gone.organization)
        event = event_pb2.Event(organization_id=gone.organization, organization_deleted=deleted)
        await asyncio.gather(
            world.orgs.say(event),
            *(world.set_general(s.id, general=True) for s in made),
            return_exceptions=True,
        )
        while (await gone.usage())[0]:
            await asyncio.sleep(0)
        await world.erase_all()
        assert await gone.usage() == (0, 0)


async def unused(world: World, image: str) -> bool:
    request = pb.CanCleanupImageRequest(image_ref=image)
    answer = await world.administration.CanCleanupImage(request, metadata=world.administrator)
    return answer.unused


ALIKE = (
    *("alpine:3.99", "library/alpine:3.99", "docker.io/alpine:3.99"),
    *("index.docker.io/library/alpine:3.99", "registry-1.docker.io/alpine:3.99"),
    "docker.io/library/alpine:3.99",
)


@pytest.mark.parametrize("written", ALIKE)
async def test_an_image_is_referred_to_however_it_is_written(
    world: World, me: Member, written: str
) -> None:
    assert all([await unused(world, other) for other in ALIKE])
    made = await me.create(image=written)
    assert not any([await unused(world, other) for other in ALIKE])
    assert await unused(world, "alpine:3.98")
    await me.delete(made.id)
    assert not await unused(world, written)
    await world.erase_all()
    assert await unused(world, written)


async def test_an_image_is_referred_to_by_its_digest(world: World, me: Member) -> None:
    digest = "sha256:" + "7" * 64
    made = await me.create("by-tag", "x.example/y:1")
    claim = await world.claim()
    assert claim is not None
    await world.finish(claim, digest, digests=("sha256:" + "8" * 64,))
    for image in (digest, "sha256:" + "8" * 64):
        assert not await unused(world, f"elsewhere/z@{image}")
    assert await unused(world, f"elsewhere/z@{DIGEST[:-1]}5")
    for failing in ("", "x\0"):
        async with refused("IMAGE_REF_INVALID", grpc.StatusCode.INVALID_ARGUMENT):
            await unused(world, failing)
    assert await unused(world, "no name:of an image")
    await me.deactivate(made.id)
    assert not await unused(world, "x.example/y:1")


async def test_a_change_and_its_event_are_one(world: World, me: Member) -> None:
    made = await me.active()
    async with world.database.sessions() as session:
        await set_general(session, UUID(made.id), general=True)
        await session.rollback()
    assert not (await me.get(made.id)).general
    assert await me.audited() == []
