"""Nobody works for who went away, and nobody sleeps when there is something to do."""

import asyncio

import grpc

from chassis.outbox import CHANNEL
from ratoon.snapshots.v1 import snapshot_service_pb2 as pb
from services.snapshots.commands.moves import WORK
from tests.integration.snapshots.world import Member, World

_RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1 AND pid <> pg_backend_pid()"


async def _until(world: World, like: str, count: int) -> None:
    async with asyncio.timeout(10):
        while await world.database.pool.fetchval(_RUNNING, like) != count:
            await asyncio.sleep(0)


async def test_who_goes_away_takes_the_query_along(world: World, me: Member) -> None:
    """A search waits for a lock; its caller leaves; the query must end although the lock is still held."""
    async with world.database.sessions.begin() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("LOCK TABLE snapshots IN ACCESS EXCLUSIVE MODE")
        call = world.stub.ListSnapshots(
            pb.ListSnapshotsRequest(
                organization_id=me.organization, page_size=10, name_contains="slow"
            ),
            metadata=me.metadata,
        )
        await _until(world, "%strpos%", 1)
        call.cancel()
        await _until(world, "%strpos%", 0)
    assert (await me.page(name_contains="slow")).total_size == 0


async def test_a_create_wakes_feed_and_workers(world: World, me: Member) -> None:
    heard: set[str] = set()
    both = asyncio.Event()

    def hear(_connection: object, _pid: int, name: str, _payload: object) -> None:
        heard.add(name)
        if heard == {CHANNEL, WORK}:
            both.set()

    async with world.database.pool.acquire() as connection:
        for name in (CHANNEL, WORK):
            await connection.add_listener(name, hear)
        await me.create()
        await asyncio.wait_for(both.wait(), 2)
        for name in (CHANNEL, WORK):
            await connection.remove_listener(name, hear)


async def test_a_database_that_comes_back_is_used_again(world: World, me: Member) -> None:
    await me.create("before")
    await world.database.pool.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()"
    )
    failures = 0
    while True:
        try:
            assert (await me.get("before")).name == "before"
            break
        except grpc.aio.AioRpcError as away:
            failures += 1
            code = away.code()
        assert code is grpc.StatusCode.UNAVAILABLE
        assert failures < 20
