"""Whatever ends while an organization is being removed, it is gone on with."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from chassis.grpc.client import channel
from chassis.grpc.consumer import Consumer
from chassis.listen import Wakeups
from ratoon.events.v1 import event_feed_service_pb2, event_pb2
from services.snapshots import events
from services.snapshots.commands import lifecycle, retirement
from services.snapshots.servicer.upkeep import retire
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.snapshots.world import Member, World, a_world


@dataclass
class Own:
    """A world whose background tasks may come to an end."""

    world: World
    url: str
    orgs: str


@pytest.fixture
async def own(make_database: MakeDatabase, keyring: Keyring) -> AsyncIterator[Own]:
    url = await make_database("services.snapshots")
    with tempfile.TemporaryDirectory(prefix="rtn-") as folder:
        async with a_world(url, keyring, Path(folder)) as world:
            yield Own(world, url, f"unix:{folder}/o")


async def _filled(world: World) -> Member:
    me = world.member()
    for n in range(9):
        await me.create(f"n{n}", image=f"alpine:{n % 4}")
    await world.work()
    await me.create("late", image="busybox:2")
    return me


async def _say_deleted(world: World, me: Member) -> None:
    deleted = event_pb2.OrganizationDeleted(organization_id=me.organization)
    await world.orgs.say(
        event_pb2.Event(organization_id=me.organization, organization_deleted=deleted)
    )


async def _closed(world: World, me: Member) -> bool:
    return bool(
        await world.database.pool.fetchval(
            "SELECT closed FROM usage WHERE organization_id = $1", UUID(me.organization)
        )
    )


async def test_a_taker_of_events_that_ends_in_the_middle(
    own: Own, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, ended = own.world, asyncio.Event()
    me = await _filled(world)
    close = retirement.close_organization

    async def die(*arguments: Any) -> None:
        await close(*arguments)
        ended.set()
        raise asyncio.CancelledError

    monkeypatch.setattr(events, "close_organization", die)
    await _say_deleted(world, me)
    await ended.wait()
    # What was not committed did not happen.
    assert not await _closed(world, me)
    monkeypatch.setattr(events, "close_organization", close)
    async with channel(own.orgs, event_feed_service_pb2) as orgs:
        consumer = Consumer("orgs", orgs, keyring.identity("snapshots"), world.database.sessions)
        again = asyncio.create_task(consumer.run(events.take))
        async with asyncio.timeout(20):
            while (await me.usage())[0]:
                await asyncio.sleep(0)
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
    await world.erase_all()
    assert await me.usage() == (0, 0)


async def test_a_removal_that_ends_in_the_middle_again_and_again(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = own.world
    me = await _filled(world)
    monkeypatch.setattr(retirement.retire, "__kwdefaults__", {"limit": 2})
    leave, calls, ended = lifecycle.leave_work, 0, asyncio.Event()

    async def die_now_and_then(*arguments: Any, **more: Any) -> None:
        nonlocal calls
        await leave(*arguments, **more)
        calls += 1
        if calls % 2:
            ended.set()
            raise asyncio.CancelledError

    monkeypatch.setattr(retirement, "leave_work", die_now_and_then)
    await _say_deleted(world, me)
    await ended.wait()
    wakeups, ends = Wakeups(own.url, "test"), 1
    listening = asyncio.create_task(wakeups.run((retirement.RETIRE,)))
    while (await me.usage())[0]:
        ended.clear()
        task = asyncio.create_task(retire(world.database.sessions, wakeups))
        waits = asyncio.create_task(ended.wait())
        await asyncio.wait({task, waits}, timeout=1)
        ends += waits.done()
        for each in (task, waits):
            each.cancel()
        await asyncio.gather(task, waits, return_exceptions=True)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert ends > 3
    await world.erase_all()
    assert await me.usage() == (0, 0)
    left = await world.database.pool.fetchval("SELECT count(*) FROM snapshots")
    assert left == await world.database.pool.fetchval("SELECT count(*) FROM pulls") == 0
    assert await world.database.pool.fetchval("SELECT count(*) FROM artifacts") == 0
