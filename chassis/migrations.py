"""Alembic from code: one history per context, no .ini files."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text

from chassis.db import engine_over

# Any number will do, as long as all migrators of a database use the same.
_LOCK = 5_209_377_001


class DatabaseTooNew(RuntimeError):
    """The database was written by a newer release than this code."""


def upgrade(package: str, url: str) -> None:
    """Bring the database of `package` (such as `services.auth`) to its newest revision; several may try at once."""
    asyncio.run(_with_connection(url, lambda c: _upgrade(_config(package), c)))


def differences(package: str, url: str, metadata: MetaData) -> list[Any]:
    """Return what autogenerate would still change: nothing, when migrations and tables agree."""
    from alembic.autogenerate import compare_metadata

    found: list[Any] = []
    options = {"compare_type": True, "compare_server_default": False}

    def compare(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts=options)
        found.extend(compare_metadata(context, metadata))

    asyncio.run(_with_connection(url, compare))
    return found


def scripts(package: str) -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(package))


def _config(package: str) -> Config:
    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    config.set_main_option("path_separator", "os")
    return config


def head_of(package: str) -> str:
    """Return the newest revision that this code knows."""
    return scripts(package).get_current_head() or ""


def _upgrade(config: Config, connection: Connection) -> None:
    directory = ScriptDirectory.from_config(config)
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    connection.execute(text("SET LOCAL lock_timeout = '4s'"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in directory.walk_revisions()}
    if current is not None and current not in known:
        raise DatabaseTooNew(
            f"the database is at revision {current}, which this release does not know: it was written by a newer one."
            " Run that release, or restore a backup made before the upgrade."
        )

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return directory._upgrade_revs("head", revision)

    environment = EnvironmentContext(config, directory, fn=steps)
    environment.configure(
        connection=connection, transactional_ddl=True, transaction_per_migration=False
    )
    environment.run_migrations()


async def _with_connection(url: str, act: Callable[[Connection], None]) -> None:
    async def dial() -> Any:
        return await asyncpg.connect(url, timeout=10)

    engine = engine_over(dial, 1)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(act)
    finally:
        await engine.dispose()
