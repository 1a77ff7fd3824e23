"""The migrations make exactly what the tables describe."""

import asyncio

from chassis.migrations import differences
from services.snapshots.tables import Base
from tests.conftest import MakeDatabase


async def test_migrations_and_tables_agree(make_database: MakeDatabase) -> None:
    url = await make_database("services.snapshots")
    assert await asyncio.to_thread(differences, "services.snapshots", url, Base.metadata) == []
