"""One service and one database for each module; each test has an organization of its own."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.snapshots.world import Member, World, a_world


@pytest.fixture(scope="module")
async def world(make_database: MakeDatabase, keyring: Keyring) -> AsyncIterator[World]:
    url = await make_database("services.snapshots")
    # Short, because a socket's path has a length limit.
    with tempfile.TemporaryDirectory(prefix="rtn-") as folder:
        async with a_world(url, keyring, Path(folder)) as world:
            yield world


@pytest.fixture
async def me(world: World) -> Member:
    # What an earlier test left to be done would be claimed in this one.
    await world.work()
    return world.member()
