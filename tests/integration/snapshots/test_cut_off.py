"""A server that falls at a commit: the client hears that nobody answered, nothing was done, and asking again does it once."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.worker.brake import Point, braked
from tests.integration.snapshots.world import Member, World, a_world

_ANYTHING = Point("INSERT", "outbox")


@pytest.fixture(scope="module")
async def url(make_database: MakeDatabase) -> str:
    return await make_database("services.snapshots")


@pytest.fixture(scope="module")
async def world(url: str, keyring: Keyring) -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(prefix="rtn-") as folder:
        async with a_world(url, keyring, Path(folder)) as world:
            yield world


async def _failed(me: Member) -> str:
    made = await me.create("failed", "broken:1")
    claim = await me.world.claim()
    assert claim is not None
    await me.world.fail(claim)
    return made.id


async def _idle(me: Member) -> str:
    made = await me.active()
    await me.deactivate(made.id)
    return made.id


async def _active(me: Member) -> str:
    return (await me.active()).id


_USE: str = str(uuid4())
_OTHER: str = str(uuid4())
Act = Callable[[Member, str], Awaitable[Any]]
ACTS: dict[str, tuple[Callable[[Member], Awaitable[str]], Act]] = {
    "create": (_active, lambda me, _: me.create("new", "new:1")),
    "create by key": (_active, lambda me, _: me.create("new", "new:1", request_id="k")),
    "delete": (_active, lambda me, id_: me.delete(id_)),
    "deactivate": (_active, lambda me, id_: me.deactivate(id_)),
    "activate": (_idle, lambda me, id_: me.activate(id_)),
    "retry": (_failed, lambda me, id_: me.retry(id_)),
    "use": (_idle, lambda me, id_: me.resolve(id_, use_id=_USE)),
    "set image": (_active, lambda me, id_: me.set_image(id_, "other:1")),
    "share": (_active, lambda me, id_: me.share(id_, _OTHER)),
}


async def _everything(me: Member) -> list[list[Any]]:
    """Return all that there is of the organization, but for what moments are."""
    pool, id_ = me.world.database.pool, UUID(me.organization)
    mine = "snapshot_id IN (SELECT id FROM snapshots WHERE organization_id = $1)"
    asked = (
        "SELECT id, name, state, generation, use_count, pull_id FROM snapshots WHERE organization_id = $1 ORDER BY id",
        "SELECT used, total FROM usage WHERE organization_id = $1",
        "SELECT id, image_ref FROM pulls WHERE organization_id = $1 ORDER BY id",
        "SELECT id, type FROM outbox WHERE organization_id = $1::uuid::text ORDER BY id",
        f"SELECT number, state FROM versions WHERE {mine} ORDER BY number",
        f"SELECT receiver_id FROM shares WHERE {mine}",
        f"SELECT id FROM uses WHERE {mine}",
    )
    return [[tuple(row) for row in await pool.fetch(query, id_)] for query in asked]


@pytest.mark.parametrize("what", ACTS)
async def test_nothing_is_done_by_halves(world: World, url: str, me: Member, what: str) -> None:
    answer = limits()
    answer.snapshot_auto_activation = True
    world.orgs.answers[me.organization] = answer
    prepare, act = ACTS[what]
    id_ = await prepare(me)
    before = await _everything(me)
    async with braked(url, _ANYTHING, "snapshots") as brake:
        asked = asyncio.ensure_future(act(me, id_))
        await brake.reached()
        await brake.lose()
        with pytest.raises(grpc.aio.AioRpcError) as lost:
            await asked
    assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
    assert await _everything(me) == before
    await act(me, id_)
    after = await _everything(me)
    assert after != before
    # One event more, or two where a use activates.
    assert len(after[3]) - len(before[3]) in ((1,) if what != "use" else (2,))
