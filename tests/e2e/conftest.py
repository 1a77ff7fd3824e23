"""One whole system and one registry for all end-to-end tests; they share a worker process for that."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.system import System, running
from tests.e2e.tenants import Issuing
from tests.images import Image, image
from tests.issuer import AUDIENCE, TestIssuer
from tests.registry import Registry, running_registry

# The tests' own Dockerfiles are trusted, so that building them needs no more than root.
TRUSTING = {"SNAPSHOTS_BUILD_ISOLATION": "chroot", "SNAPSHOTS_TRUSTED_DOCKERFILES": "true"}


# Before xdist looks for groups, however the tests were named on the command line.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.xdist_group("e2e"))


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    with running_registry() as registry:
        yield registry


@pytest.fixture(scope="session")
def locked_registry() -> Iterator[Registry]:
    """A registry that wants a password, with an image."""
    with running_registry(password=True) as registry:
        registry.push("team/private", "1", image(seed=81))
        yield registry


@pytest.fixture(scope="session")
def whole(registry: Registry, locked_registry: Registry) -> Iterator[System]:
    """A system that may speak plain HTTP with the registries and with a port where nobody listens, and tell this machine."""
    told = {
        "SNAPSHOTS_INSECURE_REGISTRIES": f"{registry.host},{locked_registry.host},127.0.0.1:9",
        "ORGS_WEBHOOKS_ALLOWED_NETWORKS": "127.0.0.0/8",
        "ORGS_WEBHOOKS_ALLOW_HTTP": "true",
    }
    with running(**told, **TRUSTING) as system:
        yield system


@pytest.fixture(scope="module")
def system(whole: System) -> Iterator[System]:
    """The system; what organizations the administrator makes are deleted, since nobody may have more than ten."""
    yield whole
    for organization in whole.client.get("/organizations").json():
        if not organization["personal"]:
            whole.client.delete(f"/organizations/{organization['id']}").raise_for_status()


@pytest.fixture(scope="session")
def issuing() -> Iterator[Issuing]:
    """A system of its own whose people come with tokens of the tests' issuer."""
    issuer = TestIssuer()
    oidc = {"OIDC_ISSUER_BASE_URL": issuer.url, "OIDC_CLIENT_ID": "ratoon"}
    told = {"SNAPSHOTS_INSECURE_REGISTRIES": "127.0.0.1:9", "OIDC_AUDIENCE": AUDIENCE}
    try:
        with running(**oidc, **told, **TRUSTING) as system:
            yield Issuing(system, issuer)
    finally:
        issuer.close()


@pytest.fixture(scope="session")
def small_image(registry: Registry) -> Image:
    """An image of two layers, pushed as `small:1`."""
    made = image((200_000, 300_000), config={"Entrypoint": ["/bin/app", "serve"]})
    registry.push("small", "1", made)
    return made
