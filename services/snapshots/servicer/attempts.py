"""What is tried again: changes that met another one of the same snapshot, and those whose limits were old."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions
from services.snapshots.domain import Busy, Limits, LimitsOutdated
from services.snapshots.peers import Organizations

T = TypeVar("T")
_ATTEMPTS = 10


async def under_limits(
    organizations: Organizations, organization_id: str, act: Callable[[Limits], Awaitable[T]]
) -> T:
    """Act under the limits of an organization, and again if those that were remembered turn out to be old."""
    limits = await organizations.limits_of(organization_id)
    for _ in range(_ATTEMPTS):
        try:
            return await act(limits)
        except LimitsOutdated:
            limits = await organizations.fresh_limits_of(organization_id)
    raise Busy("the organization's limits change over and over: try again")


async def change(sessions: Sessions, act: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """Run a command in a transaction, and again when somebody else changed the same snapshot meanwhile."""
    for _ in range(_ATTEMPTS - 1):
        try:
            async with sessions.begin() as session:
                return await act(session)
        except Busy:
            continue
    async with sessions.begin() as session:
        return await act(session)
