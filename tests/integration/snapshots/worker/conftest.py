"""A house of its own for every test; one registry for all."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from chassis.db import connect
from chassis.listen import Wakeups
from chassis.migrations import upgrade
from tests.conftest import MakeDatabase
from tests.integration.snapshots.images.scripted import ScriptedRegistry, scripted_registry
from tests.integration.snapshots.worker.house import House
from tests.integration.snapshots.worker.proxy import Wire, wire_to
from tests.postgres import Cluster
from tests.registry import Registry, running_registry

Fragile: TypeAlias = tuple[Cluster, House]


@pytest.fixture(scope="package")
def registry() -> Iterator[Registry]:
    with running_registry() as running:
        yield running


@pytest.fixture
async def wire(registry: Registry) -> AsyncIterator[Wire]:
    async with wire_to(registry.host) as wire:
        yield wire


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedRegistry]:
    async with scripted_registry() as running:
        yield running


@pytest.fixture
async def house(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[House]:
    url = await make_database("services.snapshots")
    database = await connect(url, application="test", sessions=16)
    wakeups = Wakeups(url, "test")
    listening = asyncio.create_task(wakeups.run(("outbox",)))
    yield House(url, database, wakeups, tmp_path / "store")
    listening.cancel()
    await asyncio.wait({listening})
    await database.close()


@pytest.fixture
async def fragile(tmp_path: Path) -> AsyncIterator[Fragile]:
    """A house whose PostgreSQL is its own."""
    cluster = Cluster()
    await cluster.admin("CREATE DATABASE fragile")
    # What was committed is not lost, as it may be in the clusters of other tests.
    await cluster.admin("ALTER DATABASE fragile SET synchronous_commit = on")
    url = cluster.url("fragile")
    await asyncio.to_thread(upgrade, "services.snapshots", url)
    database = await connect(url, application="test")
    wakeups = Wakeups(url, "test")
    listening = asyncio.create_task(wakeups.run(("outbox",)))
    yield cluster, House(url, database, wakeups, tmp_path / "store")
    listening.cancel()
    await asyncio.wait({listening})
    await database.close()
    cluster.stop()
