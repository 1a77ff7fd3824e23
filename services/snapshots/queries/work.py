"""What waits for a worker."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_NEXT_DUE = text("SELECT extract(epoch FROM min(due_at) - now())::float8 FROM pulls")


async def seconds_until_due(session: AsyncSession) -> float | None:
    """Return how long it is until a pull may be claimed (negative: one may be now). None: there is none."""
    seconds: float | None = await session.scalar(_NEXT_DUE)
    return seconds
