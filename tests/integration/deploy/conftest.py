"""Installations for the tests of the launcher."""

from collections.abc import Callable, Iterator

import pytest

from tests.integration.deploy.harness import Installation, install, ordinary_user

Install = Callable[..., Installation]


@pytest.fixture
def fresh() -> Iterator[Install]:
    """Make installations that are ended and removed with the test."""
    made: list[Installation] = []

    def make(user: int | None = None, **variables: str) -> Installation:
        made.append(install(user, **variables))
        return made[-1]

    yield make
    for installation in made:
        installation.remove()


@pytest.fixture(scope="module")
def running() -> Iterator[Installation]:
    """Give one that runs, for tests that leave it running."""
    installation = install()
    try:
        started = installation.start()
        assert started.returncode == 0, started.stderr
        yield installation
    finally:
        installation.remove()


@pytest.fixture(params=["as we are", "as an ordinary user"])
def anyone(request: pytest.FixtureRequest) -> int | None:
    """Give the user to run as: whoever runs the tests (root drops for PostgreSQL), then one without privileges."""
    return ordinary_user() if request.param == "as an ordinary user" else None
