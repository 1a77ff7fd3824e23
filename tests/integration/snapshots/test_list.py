"""ListSnapshots against a model: every sort, order, page and filter, own rows and general ones."""

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from ratoon.orgs.v1 import organization_service_pb2 as orgs_pb
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from ratoon.snapshots.v1.snapshot_pb2 import SNAPSHOT_STATE_ACTIVE
from services.snapshots.domain import State
from services.snapshots.queries import page as pages
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import Member, World, refused

_START = datetime(2026, 1, 1, tzinfo=UTC)
_STATES = list(State)
_SORTS = (
    pb.SNAPSHOT_SORT_NAME,
    pb.SNAPSHOT_SORT_STATE,
    pb.SNAPSHOT_SORT_LAST_USED,
    pb.SNAPSHOT_SORT_CREATED,
)


@dataclass(frozen=True)
class Known:
    """A row of the model."""

    id: UUID
    organization_id: UUID
    name: str
    state: State
    general: bool
    created: datetime
    used: datetime | None
    source: str
    # 0 own, 1 shared, 2 general
    block: int = 0


def _known(dice: random.Random, organization: str, number: int, *, general: bool = False) -> Known:
    letters = "abcAB_-./xyz"
    return Known(
        id=UUID(int=dice.getrandbits(128), version=4),
        organization_id=UUID(organization),
        name="".join(dice.choice(letters) for _ in range(dice.randint(1, 6))) + f"{number}",
        state=dice.choice(_STATES),
        general=general,
        created=_START + timedelta(seconds=dice.randint(0, 40)),
        used=_START + timedelta(minutes=dice.randint(0, 9)) if dice.random() < 0.7 else None,
        source=dice.choice(("", "s1", "s2")),
    )


async def _load(world: World, rows: list[Known]) -> None:
    records = [
        (k.id, k.organization_id, k.name, "a:1", k.state.value, k.general, 1, 0, 1, 3, ["eu"],
         k.created, k.created, k.used, k.source)
        for k in rows
    ]  # fmt: skip
    columns = (
        "id", "organization_id", "name", "image_ref", "state", "general", "cpu", "gpu", "memory", "disk",
        "region_ids", "created_at", "updated_at", "last_used_at", "source_sandbox_id",
    )  # fmt: skip
    await world.database.pool.copy_records_to_table("snapshots", records=records, columns=columns)
    await world.database.pool.execute(
        "INSERT INTO usage (organization_id, total) SELECT organization_id, count(*) FROM snapshots"
        " WHERE NOT general GROUP BY 1 ON CONFLICT (organization_id) DO UPDATE SET total = excluded.total"
    )


async def _share(world: World, me: Member, rows: list[Known], dice: random.Random) -> set[UUID]:
    """Share these with me, some of them until a moment that has passed; return those that I see."""
    past, ahead = _START, datetime(2999, 1, 1, tzinfo=UTC)
    until = {k: dice.choice((None, past, ahead)) for k in rows}
    await world.database.pool.executemany(
        "INSERT INTO shares (snapshot_id, receiver_id, name, may_use, expires_at) VALUES ($1, $2, $3, $4, $5)",
        [(k.id, UUID(me.organization), k.name, True, until[k]) for k in rows],
    )
    return {k.id for k in rows if until[k] != past}


def _is_seen(known: Known, me: Member, shared: set[UUID]) -> bool:
    return known.general or str(known.organization_id) == me.organization or known.id in shared


def _seen(known: Known, me: Member, shared: set[UUID]) -> Known:
    own = str(known.organization_id) == me.organization
    return replace(known, block=2 if known.general else 0 if own else 1)


def _sorted(rows: list[Known], sort: int, ascending: bool) -> list[Known]:
    """Sort as the contract says: own first, general last, NULLs last, ties the newest first and then by id."""
    if sort == pb.SNAPSHOT_SORT_CREATED and ascending:
        found = sorted(rows, key=lambda k: k.id, reverse=True)
        found.sort(key=lambda k: k.created)
    else:
        found = sorted(rows, key=lambda k: k.id)
        found.sort(key=lambda k: k.created, reverse=True)
    keys: dict[int, Any] = {
        pb.SNAPSHOT_SORT_NAME: lambda k: k.name.encode(),
        pb.SNAPSHOT_SORT_STATE: lambda k: _STATES.index(k.state),
        pb.SNAPSHOT_SORT_LAST_USED: lambda k: k.used or _START,
    }
    if sort in keys:
        found.sort(key=keys[sort], reverse=not ascending)
    if sort == pb.SNAPSHOT_SORT_LAST_USED:
        found.sort(key=lambda k: k.used is None)
    found.sort(key=lambda k: k.block)
    return found


@pytest.fixture(params=["shallow", "far"])
def walk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read pages both ways, whatever their distance."""
    if request.param == "far":
        monkeypatch.setattr(pages, "_SHALLOW", 0)


async def _check(me: Member, visible: list[Known], dice: random.Random, **filters: str) -> None:
    for sort in _SORTS:
        for ascending in (True, False):
            expected = [str(k.id) for k in _sorted(visible, sort, ascending)]
            for _ in range(4):
                size, skip = dice.randint(1, 60), dice.randint(0, len(visible) + 10)
                page = await me.page(
                    page_size=size, skip=skip, sort=sort, ascending=ascending, **filters
                )
                assert [s.id for s in page.snapshots] == expected[skip : skip + size]
                assert page.total_size == len(expected)


async def test_pages_are_those_of_the_model(world: World, walk: None) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    me, other = world.member(), world.member()
    await world.database.pool.execute("TRUNCATE snapshots, usage CASCADE")
    rows = [_known(dice, me.organization, n) for n in range(dice.randint(0, 120))]
    rows += [_known(dice, me.organization, 1000, general=True)]
    theirs = [_known(dice, other.organization, n) for n in range(30)]
    theirs += [_known(dice, other.organization, 100 + n, general=True) for n in range(7)]
    rows += theirs
    await _load(world, rows)
    shared = await _share(world, me, dice.sample(theirs, dice.choice((0, 1, 20))), dice)
    visible = [_seen(k, me, shared) for k in rows if _is_seen(k, me, shared)]
    print("seed", seed)
    await _check(me, visible, dice)
    for text in ("a", "AB", "a_", "b-.", "/", "xyz", "zzzz", "%", "\\", "é", "1"):
        found = [k for k in visible if text.lower() in k.name.lower()]
        await _check(me, found, dice, name_contains=text)
    found = [k for k in visible if k.source == "s1" and k.block != 1]
    await _check(me, found, dice, source_sandbox_id="s1")
    found = [k for k in found if "a" in k.name.lower()]
    await _check(me, found, dice, source_sandbox_id="s1", name_contains="a")


async def test_nothing_is_nothing(world: World, walk: None) -> None:
    await world.database.pool.execute("TRUNCATE snapshots, usage CASCADE")
    me = world.member()
    for filters in ({}, {"name_contains": "x\0"}, {"name_contains": "n" * 300}, {"skip": 2**40}):
        page = await me.page(**filters)
        assert (list(page.snapshots), page.total_size) == ([], 0)


@pytest.mark.parametrize(
    "wanted",
    [
        {"page_size": 0},
        {"page_size": 201},
        {"page_size": -1},
        {"skip": -1},
        {"skip": 2**41},
        {"sort": 9},
    ],
)
async def test_a_page_that_cannot_be_is_refused(me: Member, wanted: dict[str, Any]) -> None:
    async with refused("PAGE_INVALID", grpc.StatusCode.INVALID_ARGUMENT):
        await me.page(**wanted)


async def test_general_snapshots_are_everybodys_to_read(world: World, me: Member) -> None:
    await world.database.pool.execute("TRUNCATE snapshots, usage, pulls CASCADE")
    owner = world.member()
    lab = orgs_pb.RegionLimits(region_id="lab", available=True)
    world.orgs.answers[owner.organization] = limits(regions=(lab,))
    shown = await owner.create("daytona-small")
    await world.work()
    await world.database.pool.execute(
        "UPDATE snapshots SET general = true, region_ids = '{eu,lab}' WHERE id = $1", UUID(shown.id)
    )
    await world.database.pool.execute("UPDATE usage SET total = total - 1")
    for ref in (shown.id, "daytona-small"):
        got = await me.get(ref)
        assert (got.general, got.state) == (True, SNAPSHOT_STATE_ACTIVE)
        assert list(got.region_ids) == ["eu"]
        assert list((await owner.get(ref)).region_ids) == ["eu", "lab"]
    assert [list(s.region_ids) for s in (await me.page()).snapshots] == [["eu"]]
    own = await me.create("daytona-small")
    assert (await me.get("daytona-small")).id == own.id
    assert [s.id for s in (await me.page()).snapshots] == [own.id, shown.id]
    for change in (me.delete, me.activate, me.deactivate):
        async with refused("SNAPSHOT_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            await change(shown.id)
    async with refused("SNAPSHOT_GENERAL", grpc.StatusCode.PERMISSION_DENIED):
        await owner.delete(shown.id)
    await owner.deactivate(shown.id)
    await owner.activate(shown.id)
    assert await owner.usage() == (1, 0)


async def test_an_unknown_name_is_not_somebodys(me: Member) -> None:
    async with refused("SNAPSHOT_NOT_FOUND"):
        await me.get(str(uuid4()))
