"""A brake on commits: whoever is about to commit something chosen waits, and may be killed in that very moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

_KEY = 4711
# At the end of the transaction, when everything else is done.
_SETUP = """
CREATE OR REPLACE FUNCTION brake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') = TG_ARGV[0] THEN PERFORM pg_advisory_xact_lock_shared({key}); END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER brake AFTER {what} DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW {when} EXECUTE FUNCTION brake('{who}')
"""
_WAITING = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted"


@dataclass(frozen=True, slots=True)
class Point:
    """Where one stands: `what` is about to be committed, of a table, `when` that is asked besides."""

    what: str
    table: str
    when: str = ""


@dataclass(frozen=True, slots=True)
class Brake:
    """What is held by `connection`."""

    connection: "asyncpg.Connection[asyncpg.Record]"

    async def reached(self, seconds: float = 20) -> None:
        """Wait until somebody waits."""
        async with asyncio.timeout(seconds):
            while not await self._waiting():
                await asyncio.sleep(0.02)

    async def lose(self) -> None:
        """Let those commits that wait be lost, as with a connection that ends before they arrive."""
        for pid in await self._waiting():
            await self.connection.execute("SELECT pg_terminate_backend($1)", pid)

    async def _waiting(self) -> list[int]:
        return [row["pid"] for row in await self.connection.fetch(_WAITING, _KEY)]


@asynccontextmanager
async def braked(url: str, point: Point, who: str) -> AsyncIterator[Brake]:
    """Hold who connects by that name at that point, until this ends."""
    connection = await asyncpg.connect(url)
    when = f"WHEN ({point.when})" if point.when else ""
    what = f"{point.what} ON {point.table}"
    try:
        await connection.execute(_SETUP.format(key=_KEY, what=what, when=when, who=who))
        await connection.execute("SELECT pg_advisory_lock($1)", _KEY)
        yield Brake(connection)
    finally:
        connection.terminate()
        again = await asyncpg.connect(url)
        # Those who waited go on, and hold the table until they are done.
        await again.execute(f"DROP TRIGGER brake ON {point.table}")
        await again.close()
