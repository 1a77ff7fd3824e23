"""PostgreSQL: one engine for the ORM, one pool of plain connections for the hot paths."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import Enum, MetaData
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

Sessions = async_sessionmaker[AsyncSession]
# Quoted: asyncpg.Pool is generic for type checkers only.
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

STATEMENT_TIMEOUT_MS = 10_000
_SETTINGS = {
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "15000",
    "timezone": "UTC",
    "jit": "off",
}
# asyncpg keeps prepared statements for five minutes by default, SQLAlchemy for as long as the connection; the hot
# statements are few and always the same, so they are kept for good.
_CACHED_STATEMENT_LIFETIME = 0


def metadata() -> MetaData:
    """Return metadata whose constraints have predictable names, so that migrations can name them."""
    return MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def text_enum(values: type[StrEnum]) -> Enum:
    """Return a column type that stores the values as text and refuses others in Python."""
    return Enum(
        values, native_enum=False, length=63, values_callable=lambda e: [m.value for m in e]
    )


@dataclass(frozen=True, slots=True)
class Database:
    """What a process holds of its database."""

    engine: AsyncEngine
    sessions: Sessions
    pool: Pool

    async def close(self) -> None:
        await self.pool.close()
        await self.engine.dispose()


async def connect(
    url: str, *, application: str, sessions: int = 8, hot: int = 8, **settings: str
) -> Database:
    """Open `url` (`postgresql://…`): at most `sessions` ORM connections and `hot` plain ones.

    Every statement has a time limit on the server, so that none outlives the patience of its caller.
    """
    server = {**_SETTINGS, "application_name": application, **settings}

    async def dial() -> Any:
        return await asyncpg.connect(url, server_settings=server, timeout=10)

    engine = engine_over(dial, sessions)
    pool: Pool = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=hot,
        server_settings=server,
        timeout=10,
        max_inactive_connection_lifetime=300,
        max_cached_statement_lifetime=_CACHED_STATEMENT_LIFETIME,
        reset=_left_as_found,
    )
    return Database(engine, async_sessionmaker(engine, expire_on_commit=False), pool)


async def _left_as_found(_connection: object) -> None:
    """Spare the statement that a pool otherwise sends after every use: no hot statement changes its session."""


def engine_over(dial: Callable[[], Awaitable[Any]], size: int) -> AsyncEngine:
    """Return an engine whose connections `dial` makes; a dead one is replaced before it is used."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=dial,
        pool_size=size,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=False,
        pool_recycle=1800,
    )
