"""The gateway over fake services, called without a socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.app import Gateway
from gateway.server import App
from tests.gateway_fakes import KEY, Fakes
from tests.identities import Keyring

Served = tuple[Gateway, App]


@pytest.fixture
async def fakes(keyring: Keyring, tmp_path: Path) -> AsyncIterator[Fakes]:
    fakes = Fakes(keyring, tmp_path)
    await fakes.start()
    yield fakes
    await fakes.stop()


@pytest.fixture
async def served(fakes: Fakes) -> AsyncIterator[Served]:
    async with fakes.gateway() as served:
        yield served


def client_of(app: App, credential: str = KEY, **headers: str) -> httpx.AsyncClient:
    """Return a client that speaks to the application in process."""
    sent = {"authorization": f"Bearer {credential}"} if credential else {}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://gateway/api",
        headers=sent | headers,
    )


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(served[1]) as client:
        yield client
