"""What an organization uses of its quota."""

from uuid import UUID

from chassis.db import Pool

_USED = "SELECT used FROM usage WHERE organization_id = $1"


async def used(pool: Pool, organization_id: UUID) -> int:
    """Return how many places of the quota are taken, to the last one."""
    return await pool.fetchval(_USED, organization_id) or 0
