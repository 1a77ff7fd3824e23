"""What is kept and for how long: feeds, migrations, listening connections."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text

from chassis import purge
from chassis.db import connect
from chassis.listen import Wakeups
from chassis.migrations import DatabaseTooNew, head_of, upgrade
from chassis.outbox import CursorExpired, Feed
from chassis.schema import FIRST
from tests.conftest import MakeDatabase
from tests.postgres import Cluster


@pytest.fixture
async def url(cluster: Cluster) -> str:
    name = f"keep{uuid4().hex[:8]}"
    await cluster.admin(f"CREATE DATABASE {name}")
    return cluster.url(name)


async def test_a_purged_feed_refuses_a_cursor_from_before(url: str) -> None:
    database = await connect(url, application="test")
    for statement in FIRST:
        await database.pool.execute(statement)
    insert = (
        "INSERT INTO outbox (type, payload, origin, created_at) VALUES ('api_key_deleted', '{}', '{}',"
        " now() - $1 * interval '1 day') RETURNING xid::text || '-' || id"
    )
    oldest = await database.pool.fetchval(insert, 9)
    older = await database.pool.fetchval(insert, 8)
    young = await database.pool.fetchval(insert, 1)
    feed = Feed(database.pool)
    await feed.purge()
    with pytest.raises(CursorExpired) as refused:
        await feed.start(oldest)
    assert refused.value.reason == "CURSOR_EXPIRED"
    rows, _ = await feed.read(await feed.start(older))
    assert [r.cursor for r in rows] == [young]
    rows, _ = await feed.read(await feed.start(""))
    assert [r.cursor for r in rows] == [young]
    await database.close()


async def test_what_is_older_than_it_is_kept_is_forgotten(url: str) -> None:
    database = await connect(url, application="test")
    for statement in FIRST:
        await database.pool.execute(statement)
    await database.pool.execute(
        "INSERT INTO idempotency (scope, key, fingerprint, answer, created_at) VALUES"
        " ('s', 'old', '', '', now() - interval '25 hours'), ('s', 'new', '', '', now())"
    )
    await database.pool.execute(
        "INSERT INTO outbox (type, payload, origin, created_at) VALUES"
        " ('old', '{}', '{}', now() - interval '8 days'), ('new', '{}', '{}', now())"
    )
    await purge.once(Feed(database.pool), database)
    assert await database.pool.fetchval("SELECT array_agg(key) FROM idempotency") == ["new"]
    assert await database.pool.fetchval("SELECT array_agg(type) FROM outbox") == ["new"]
    await database.close()


async def test_a_database_of_a_newer_release_is_refused(make_database: MakeDatabase) -> None:
    url = await make_database("services.orgs")
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE alembic_version SET version_num = '29990101_later'")
    await connection.close()
    with pytest.raises(DatabaseTooNew, match="29990101_later"):
        await asyncio.to_thread(upgrade, "services.orgs", url)


async def test_four_migrators_at_once(url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(upgrade, "services.orgs", url) for _ in range(4)))
    connection = await asyncpg.connect(url)
    found = await connection.fetch("SELECT version_num FROM alembic_version")
    await connection.close()
    assert [r["version_num"] for r in found] == [head_of("services.orgs")]


async def test_a_lost_listening_connection_wakes_everybody_and_comes_back(url: str) -> None:
    wakeups = Wakeups(url, "test")
    connection = await asyncpg.connect(url)
    with wakeups.on("news") as woken:
        await _next(woken)
        task = asyncio.create_task(wakeups.run(("news",)))
        await _next(woken)
        await connection.execute("SELECT pg_notify('news', '')")
        await _next(woken)
        ended = await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'test listener'"
        )
        assert ended == 1
        await _next(woken)
        await connection.execute("SELECT pg_notify('news', '')")
        await _next(woken)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await connection.close()


async def _next(event: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await event.wait()
    event.clear()


async def test_connections_that_the_server_ended_are_replaced_unseen(url: str) -> None:
    database = await connect(url, application="ended", sessions=3, hot=3)

    async def use() -> None:
        async with database.sessions.begin() as session:
            await session.execute(text("SELECT 1"))
        await database.pool.fetchval("SELECT 1")

    await asyncio.gather(*(use() for _ in range(20)))
    other = await asyncpg.connect(url)
    end = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ended'"
    ended = [row["pid"] for row in await other.fetch(end)]
    assert len(ended) >= 2
    # By number: the pool may have opened a new one already.
    while await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)", ended):
        pass
    await other.close()
    await asyncio.gather(*(use() for _ in range(20)))
    await database.close()
