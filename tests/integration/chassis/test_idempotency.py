"""Idempotency-Key: one answer a key, however often and however at once it is asked for."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from sqlalchemy import text

from chassis.db import Database, connect
from chassis.errors import Refusal
from chassis.idempotency import PURGE, record, replay
from chassis.schema import FIRST
from tests.postgres import Cluster


@pytest.fixture
async def database(cluster: Cluster) -> AsyncIterator[Database]:
    name = f"idem{uuid4().hex[:8]}"
    await cluster.admin(f"CREATE DATABASE {name}")
    database = await connect(cluster.url(name), application="test")
    for statement in FIRST:
        await database.pool.execute(statement)
    yield database
    await database.close()


async def _once(
    database: Database, request: bytes, answer: bytes, key: str = "k", scope: str = "s"
) -> bytes:
    async with database.sessions.begin() as session:
        before = await replay(session, scope, key, request)
        if before is not None:
            return before
        await record(session, scope, key, request, answer)
        return answer


async def test_the_first_answer_is_given_again(database: Database) -> None:
    assert await _once(database, b"r", b"first") == b"first"
    assert await _once(database, b"r", b"second") == b"first"


async def test_another_request_is_refused_and_changes_nothing(database: Database) -> None:
    await _once(database, b"r", b"first")
    with pytest.raises(Refusal) as refused:
        await _once(database, b"other", b"second")
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert await _once(database, b"r", b"third") == b"first"


async def test_scopes_and_keys_are_strangers(database: Database) -> None:
    assert await _once(database, b"r", b"a", key="1", scope="x") == b"a"
    assert await _once(database, b"r", b"b", key="2", scope="x") == b"b"
    assert await _once(database, b"r", b"c", key="1", scope="y") == b"c"


async def test_of_many_at_once_one_acts(database: Database) -> None:
    answers = await asyncio.gather(*(_once(database, b"r", b"%d" % i) for i in range(20)))
    assert len(set(answers)) == 1


async def test_what_failed_leaves_the_key_free(database: Database) -> None:
    async def fail() -> None:
        async with database.sessions.begin() as session:
            assert await replay(session, "s", "k", b"r") is None
            await record(session, "s", "k", b"r", b"never")
            raise RuntimeError("the command failed")

    with pytest.raises(RuntimeError):
        await fail()
    assert await _once(database, b"other", b"first") == b"first"


async def test_a_key_is_free_again_after_its_time(database: Database) -> None:
    await _once(database, b"r", b"old")
    await database.pool.execute("UPDATE idempotency SET created_at = now() - interval '25 hours'")
    assert await _once(database, b"other", b"new") == b"new"
    assert await _once(database, b"other", b"newer") == b"new"


async def test_the_old_is_purged_and_the_young_kept(database: Database) -> None:
    await _once(database, b"r", b"old", key="old")
    await database.pool.execute("UPDATE idempotency SET created_at = now() - interval '25 hours'")
    await _once(database, b"r", b"young", key="young")
    async with database.sessions.begin() as session:
        await session.execute(PURGE)
        assert (await session.scalars(text("SELECT key FROM idempotency"))).all() == ["young"]


@pytest.mark.parametrize("key", ["\0", "a\nb", "x" * 256])
async def test_what_is_no_key_is_refused(database: Database, key: str) -> None:
    with pytest.raises(Refusal) as refused:
        await _once(database, b"r", b"a", key=key)
    assert refused.value.reason == "IDEMPOTENCY_KEY_INVALID"
