"""What is kept sealed here, and its way from an old key to a new one.

Whoever seals holds a lock that a change of the keys waits for, and looks at the keys after having got it. So once they
are changed nothing is sealed under an old key any more, and what is there can be sealed anew, one batch after the other.
"""

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.sealing import KeyRing
from services.snapshots.domain.registries import place
from services.snapshots.tables import Registry

_BATCH = 100
_LOCK = "pg_advisory_xact_lock{}(hashtextextended('encryption keys', 0))"
_HOLD_KEYS = text(f"SELECT {_LOCK.format('_shared')}")
_LOCK_KEYS = text(f"SELECT {_LOCK.format('')}")
_USED = text(
    "SELECT DISTINCT encode(substr(password, 1, 8), 'hex') FROM registries WHERE password IS NOT NULL"
)


async def seal(session: AsyncSession, ring: KeyRing, secret: str, place: str) -> bytes | None:
    """Return a secret as it is kept until the transaction ends and from then on; None: there is none."""
    if not secret:
        return None
    await session.execute(_HOLD_KEYS)
    return ring.seal(secret.encode(), place)


def password_of(ring: KeyRing, registry: Registry) -> str:
    """Return the password of a registry; empty: there is none."""
    if registry.password is None:
        return ""
    return ring.open(registry.password, _place(registry)).decode()


async def lock_keys(session: AsyncSession) -> None:
    """Wait for those who seal and keep others from it until the transaction ends."""
    await session.execute(_LOCK_KEYS)


async def reseal(session: AsyncSession, ring: KeyRing) -> int:
    """Seal some of what is under an old key anew; return how many. 0: nothing is left."""
    active = bytes.fromhex(ring.keys().active)
    old = text("substr(password, 1, 8) <> :active").bindparams(active=active)
    found = await session.scalars(select(Registry).where(old).limit(_BATCH).with_for_update())
    registries = found.all()
    for registry in registries:
        sealed = ring.seal(ring.open(registry.password or b"", _place(registry)), _place(registry))
        # Nothing has changed for anybody: the moment does not either.
        this = update(Registry).where(Registry.id == registry.id)
        await session.execute(this.values(password=sealed))
    return len(registries)


async def used_keys(session: AsyncSession) -> set[str]:
    """Return the ids of the keys that something is sealed under."""
    return set(await session.scalars(_USED))


def _place(registry: Registry) -> str:
    return place(registry.organization_id, registry.id, registry.host)
