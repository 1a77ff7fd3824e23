"""What every test may ask for: a PostgreSQL, migrated databases, keys of the machines."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator
from uuid import uuid4

import pytest

from chassis.migrations import upgrade
from tests.identities import Keyring
from tests.postgres import Cluster


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Refuse to run where xdist does not see its groups: tests that must not meet would meet, and nobody would know."""
    # Looked at when all others are done, xdist among them.
    yield
    if getattr(config.option, "loadgroup", False):
        lost = [
            i.name for i in items if i.get_closest_marker("xdist_group") and "@" not in i.nodeid
        ]
        if lost:
            raise pytest.UsageError(f"this pytest-xdist cannot group tests: {lost[:3]}")


MakeDatabase = Callable[[str], Awaitable[str]]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
async def make_database(cluster: Cluster) -> MakeDatabase:
    """Give a function that makes a migrated database for a context and returns its URL; migrations run once."""
    templates: dict[str, str] = {}

    async def make(package: str) -> str:
        if package not in templates:
            template = "template_" + package.replace(".", "_")
            await cluster.admin(f"CREATE DATABASE {template}")
            await asyncio.to_thread(upgrade, package, cluster.url(template))
            templates[package] = template
        name = f"t{uuid4().hex[:12]}"
        await cluster.admin(f"CREATE DATABASE {name} TEMPLATE {templates[package]}")
        return cluster.url(name)

    return make


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring(tmp_path_factory.mktemp("keys"))
