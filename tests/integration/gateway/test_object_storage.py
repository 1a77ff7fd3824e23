"""/object-storage: the published shape, and what it says where there is no storage."""

import httpx

from tests.gateway_fakes import KEY, ORG, Fakes
from tests.integration.gateway.conftest import Served, client_of


async def test_push_access_has_the_published_shape(client: httpx.AsyncClient) -> None:
    answer = await client.get("/object-storage/push-access")
    assert answer.status_code == 200
    assert answer.json() == {
        "accessKey": "ASIA0000",
        "secret": "hush",
        "sessionToken": "a.b.c",
        "storageUrl": "https://127.0.0.1:9000",
        "organizationId": ORG,
        "bucket": "contexts",
        "region": "us-east-1",
    }
    assert answer.headers["cache-control"] == "no-store"


async def test_no_storage_is_said_with_a_code(fakes: Fakes, served: Served) -> None:
    fakes.contexts.configured = False
    async with client_of(served[1], KEY) as client:
        answer = await client.get("/object-storage/push-access")
    assert (answer.status_code, answer.json()["code"]) == (503, "OBJECT_STORAGE_NOT_CONFIGURED")


async def test_strangers_get_none(served: Served) -> None:
    async with client_of(served[1], "") as client:
        assert (await client.get("/object-storage/push-access")).status_code == 401
