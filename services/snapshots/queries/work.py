"""What waits for a worker."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# An organization that has its share running waits for one of its own to end, whatever is due.
_NEXT_DUE = text("""
WITH busy AS (
    SELECT organization_id FROM pulls WHERE running AND due_at > now() AND (build_id IS NOT NULL) = :builds
    GROUP BY organization_id HAVING count(*) >= :share)
SELECT extract(epoch FROM min(due_at) - now())::float8 FROM pulls
WHERE organization_id NOT IN (SELECT organization_id FROM busy) AND (build_id IS NOT NULL) = :builds
""")
_BACKLOG = text("""
SELECT count(*) AS due, coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 AS oldest
FROM pulls WHERE due_at <= now() AND (build_id IS NOT NULL) = :builds
""")


@dataclass(frozen=True, slots=True)
class Backlog:
    """Pulls that could run and do not, and for how many seconds the oldest has been waiting."""

    due: int
    oldest: float


async def seconds_until_due(
    session: AsyncSession, *, share: int, builds: bool = False
) -> float | None:
    """Return how long it is until a pull may be claimed (negative: one may be now). None: there is none."""
    seconds: float | None = await session.scalar(_NEXT_DUE, {"share": share, "builds": builds})
    return seconds


async def backlog(session: AsyncSession, *, builds: bool = False) -> Backlog:
    row = (await session.execute(_BACKLOG, {"builds": builds})).one()
    return Backlog(row.due, row.oldest)
