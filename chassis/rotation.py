"""The way from one encryption key to the next, beside servers that go on serving."""

from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.sealing import KeyRing, Keys

_ALONE = "SELECT pg_try_advisory_lock(hashtextextended('encryption keys', 1))"
_DONE = "SELECT pg_advisory_unlock(hashtextextended('encryption keys', 1))"


class RotationRunning(RuntimeError):
    """Somebody else rotates the keys at this moment."""


class Sealed(Protocol):
    """What a context keeps sealed. Whoever seals there waits while the keys are locked, and looks at them after that."""

    async def lock_keys(self, session: AsyncSession) -> None:
        """Wait for those who seal and keep others from it until the transaction ends."""
        ...

    async def reseal(self, session: AsyncSession, ring: KeyRing) -> int:
        """Seal some of what is under an old key anew; return how many. 0: nothing is left."""
        ...

    async def used_keys(self, session: AsyncSession) -> set[str]:
        """Return the ids of the keys that something is sealed under."""
        ...


async def rotate(database: Database, ring: KeyRing, sealed: Sealed) -> int:
    """Make a new active key, seal everything under it, forget the others; return how much was sealed anew.

    Old keys stay readable until nothing is sealed under them. Ended at any moment, nothing is lost, and the next call
    goes on where this one was. Keys that the platform gives are left to it: everything is sealed under its active one.
    """
    async with database.pool.acquire() as connection:
        if not await connection.fetchval(_ALONE):
            raise RotationRunning("the encryption keys are being rotated already")
        try:
            # More than one key: an earlier rotation was not ended.
            if ring.replaceable and len(ring.keys().secrets) == 1:
                await _replace(database, ring, sealed, ring.keys().renewed())
            count = await _reseal_all(database, ring, sealed)
            if ring.replaceable:
                await _forget_unused(database, ring, sealed)
        finally:
            await connection.execute(_DONE)
    return count


async def _replace(database: Database, ring: KeyRing, sealed: Sealed, keys: Keys) -> None:
    async with database.sessions.begin() as session:
        await sealed.lock_keys(session)
        ring.replace(keys)


async def _reseal_all(database: Database, ring: KeyRing, sealed: Sealed) -> int:
    count, some = 0, 1
    while some:
        async with database.sessions.begin() as session:
            some = await sealed.reseal(session, ring)
        count += some
    return count


async def _forget_unused(database: Database, ring: KeyRing, sealed: Sealed) -> None:
    keys = ring.keys()
    async with database.sessions.begin() as session:
        needed = {keys.active, *await sealed.used_keys(session)}
    kept = {id_: key for id_, key in keys.secrets.items() if id_ in needed}
    await _replace(database, ring, sealed, Keys(keys.active, kept))
