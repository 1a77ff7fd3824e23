"""Reads of people."""

from sqlalchemy.ext.asyncio import AsyncSession

from services.orgs.domain import storable
from services.orgs.tables import Person


async def known(session: AsyncSession, user_id: str) -> bool:
    """Tell whether auth ever told of the user."""
    return storable(user_id) and await session.get(Person, user_id) is not None
