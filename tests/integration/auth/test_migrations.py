"""The tables in the code are the tables in the database."""

import asyncio

from chassis.migrations import differences, upgrade
from services.auth.tables import Base


async def test_migrations_and_tables_agree(url: str) -> None:
    assert await asyncio.to_thread(differences, "services.auth", url, Base.metadata) == []


async def test_a_second_migration_changes_nothing(url: str) -> None:
    await asyncio.to_thread(upgrade, "services.auth", url)
    assert await asyncio.to_thread(differences, "services.auth", url, Base.metadata) == []
