"""One storage for all tests of build contexts; each test has organizations of its own."""

from collections.abc import Iterator

import pytest

from deploy.local.storage import Storage
from services.snapshots.contexts.settings import ContextsSettings
from tests.storage import running_storage


@pytest.fixture(scope="session")
def running() -> Iterator[tuple[Storage, ContextsSettings]]:
    with running_storage() as found:
        yield found


@pytest.fixture
def storage(running: tuple[Storage, ContextsSettings]) -> Storage:
    return running[0]


@pytest.fixture
def settings(running: tuple[Storage, ContextsSettings]) -> ContextsSettings:
    return running[1]
