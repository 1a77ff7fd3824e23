"""The migrations make what the tables describe, and the roles that everybody has."""

import asyncio

import asyncpg
import pytest

from chassis.migrations import differences
from chassis.permissions import PUBLISHED
from services.orgs.tables import Base
from tests.conftest import MakeDatabase
from tests.integration.orgs.conftest import House


async def test_the_migrations_make_the_tables(make_database: MakeDatabase) -> None:
    url = await make_database("services.orgs")
    assert await asyncio.to_thread(differences, "services.orgs", url, Base.metadata) == []


async def test_the_global_roles(house: House) -> None:
    rows = await house.database.pool.fetch(
        "SELECT id::text, name, permissions FROM roles WHERE organization_id IS NULL ORDER BY id"
    )
    assert [r["id"] for r in rows] == [f"00000000-0000-0000-0000-{n:012}" for n in range(1, 9)]
    assert {r["name"]: tuple(r["permissions"]) for r in rows} == {
        "Developer": ("write:sandboxes",),
        "Sandboxes Admin": ("write:sandboxes", "delete:sandboxes"),
        "Snapshots Admin": ("write:snapshots", "delete:snapshots"),
        "Registries Admin": ("write:registries", "delete:registries"),
        "Super Admin": PUBLISHED,
        "Volumes Admin": ("read:volumes", "write:volumes", "delete:volumes"),
        "Auditor": ("read:audit_logs",),
        "Infrastructure Admin": (
            "write:regions",
            "delete:regions",
            "read:runners",
            "write:runners",
            "delete:runners",
        ),
    }


async def test_a_role_that_somebody_holds_stays(house: House) -> None:
    _, organization_id = await house.person()
    user_id, _ = await house.person()
    await house.join(user_id, organization_id)
    role = await house.database.pool.fetchval(
        "INSERT INTO roles (id, organization_id, name, description, permissions)"
        " VALUES (gen_random_uuid(), $1, 'own', '', '{}') RETURNING id::text",
        organization_id,
    )
    await house.assign(user_id, organization_id, role)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await house.database.pool.execute("DELETE FROM roles WHERE id = $1", role)
