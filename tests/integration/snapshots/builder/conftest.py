"""A house and a workshop of its own for every test; one registry with a base for all."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.bases import a_base
from tests.conftest import MakeDatabase
from tests.integration.snapshots.builder.shop import Shop, a_shop
from tests.registry import Registry, running_registry


@pytest.fixture(scope="package")
def registry() -> Iterator[Registry]:
    if os.geteuid() != 0:
        pytest.fail("building images needs root on this machine")
    with running_registry() as running:
        running.push("base", "1", a_base())
        yield running


@pytest.fixture
async def shop(
    make_database: MakeDatabase, tmp_path: Path, registry: Registry
) -> AsyncIterator[Shop]:
    url = await make_database("services.snapshots")
    async with a_shop(url, tmp_path, registry) as shop:
        yield shop
