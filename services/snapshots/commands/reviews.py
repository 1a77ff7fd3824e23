"""What follows from the limits of an organization: what they forbid is made no more, and what a suspension ends is ended.

A row of `reviews` says when an organization is to be looked at: now, because orgs says that something changed, when
the grace period of its suspension ends, or when something may have been idle for too long. Every organization that ever
had a snapshot has one, but for those without an idle rule.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.commands.lifecycle import leave_work
from services.snapshots.domain import DEACTIVATABLE, State

REVIEW = "review"
_ASK = text("""
INSERT INTO reviews (organization_id, due_at) VALUES (:organization_id, clock_timestamp())
ON CONFLICT (organization_id) DO UPDATE SET due_at = excluded.due_at
""")
_NOTIFY = text(f"SELECT pg_notify('{REVIEW}', '')")
_NEXT = text("""
SELECT organization_id, due_at, extract(epoch FROM clock_timestamp())::float8 AS now
FROM reviews ORDER BY due_at LIMIT 1
""")
# Unless somebody asked anew meanwhile.
_SAME = "organization_id = :organization_id AND due_at = :due_at"
_LATER = text(f"UPDATE reviews SET due_at = :later WHERE {_SAME}")
_DONE = text(f"DELETE FROM reviews WHERE {_SAME}")
_APPLY = text("""
WITH asked AS (
    INSERT INTO reviews (organization_id) VALUES (:organization_id) ON CONFLICT DO NOTHING)
INSERT INTO usage (organization_id, limits_revision) VALUES (:organization_id, :revision)
ON CONFLICT (organization_id) DO UPDATE SET limits_revision = excluded.limits_revision
WHERE usage.limits_revision < excluded.limits_revision
""")
_HOLDS = text(
    "SELECT 1 FROM usage WHERE organization_id = :organization_id AND limits_revision <= :revision"
)
_IN_USE = text("""
SELECT id, state, generation, pull_id FROM snapshots
WHERE organization_id = :organization_id AND NOT general AND state = ANY(:states) ORDER BY id LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Review:
    """An organization that is to be looked at. `now`: the time of the database when it was found, Unix time."""

    organization_id: UUID
    due_at: datetime
    now: float

    @property
    def seconds(self) -> float:
        """How long it is until it is due; 0 and less: it is."""
        return self.due_at.timestamp() - self.now


async def ask(session: AsyncSession, organization_id: UUID) -> None:
    """Have an organization looked at soon."""
    await session.execute(_ASK, {"organization_id": organization_id})
    await session.execute(_NOTIFY)


async def next_review(session: AsyncSession) -> Review | None:
    row = (await session.execute(_NEXT)).one_or_none()
    return None if row is None else Review(*row)


async def settle(session: AsyncSession, review: Review, later: datetime | None) -> None:
    """Note that the organization was looked at, and when it is next (None: when orgs says so)."""
    bound = {"organization_id": review.organization_id, "due_at": review.due_at}
    if later is None:
        await session.execute(_DONE, bound)
    else:
        await session.execute(_LATER, {**bound, "later": later})


async def apply(session: AsyncSession, organization_id: UUID, revision: int) -> None:
    """From the commit on, make nothing for the organization under limits older than these."""
    await session.execute(_APPLY, {"organization_id": organization_id, "revision": revision})


async def holds(session: AsyncSession, organization_id: UUID, revision: int) -> bool:
    """Tell whether no later limits than these are known."""
    known = {"organization_id": organization_id, "revision": revision}
    return (await session.execute(_HOLDS, known)).first() is not None


async def take_out_of_use(
    session: AsyncSession, organization_id: UUID, revision: int, *, limit: int = 100
) -> bool:
    """Deactivate some of what a suspended organization uses, and cancel work on it; general snapshots stay.

    False: nothing is left, or the limits of this revision hold no longer.
    """
    if not await holds(session, organization_id, revision):
        return False
    states = [state.value for state in DEACTIVATABLE]
    bound = {"organization_id": organization_id, "states": states, "limit": limit}
    rows = list((await session.execute(_IN_USE, bound)).all())
    await leave_work(session, organization_id, rows, State.INACTIVE)
    return len(rows) == limit
