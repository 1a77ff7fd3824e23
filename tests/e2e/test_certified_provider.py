"""People of a certified OpenID provider, come by the flow of the published command line, against the whole system."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from bench.system import System, running
from tests.oidc_provider import AUDIENCE, Provider


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def federated(provider: Provider) -> Iterator[System]:
    with running(
        OIDC_ISSUER_BASE_URL=provider.url, OIDC_CLIENT_ID="daytona", OIDC_AUDIENCE=AUDIENCE
    ) as system:
        yield system


def _ask(system: System, token: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    return httpx.request(method, f"{system.url}{path}", headers=headers, timeout=30, **more)


def test_twenty_first_logins_make_one_person_and_one_organization(
    federated: System, provider: Provider
) -> None:
    token = provider.token("ada")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: _ask(federated, token, "/users/me"), range(20)))
    assert [a.status_code for a in answers] == [200] * 20
    said = answers[0].json()
    assert (said["id"], said["email"], said["emailVerified"]) == (
        "certified|ada",
        "ada@example.org",
        True,
    )
    listed = _ask(federated, token, "/organizations").json()
    assert [(o["name"], o["personal"], o["createdBy"]) for o in listed] == [
        ("Personal", True, "certified|ada")
    ]


@pytest.mark.parametrize("client", ["daytona", "daytona-es"])
def test_a_person_works_in_the_personal_organization(
    federated: System, provider: Provider, client: str
) -> None:
    token = provider.token("bob", client_id=client)
    (mine,) = _ask(federated, token, "/organizations").json()
    header = {"X-Daytona-Organization-ID": mine["id"]}
    body = {"name": f"by {client}", "permissions": ["write:snapshots", "read:snapshots"]}
    made = _ask(federated, token, "/api-keys", "POST", headers=header, json=body)
    assert made.status_code == 201
    path = f"/api-keys/by%20{client}/rotate"
    turned = _ask(federated, token, path, "POST", headers=header, json={"overlapSeconds": 60})
    for secret in (made.json()["value"], turned.json()["value"]):
        assert _ask(federated, secret, "/snapshots").status_code == 200
        refused = _ask(federated, secret, f"/organizations/{mine['id']}")
        assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_MISSING")


def test_somebody_disabled_is_refused_with_all_that_is_held(
    federated: System, provider: Provider
) -> None:
    token = provider.token("eve")
    (mine,) = _ask(federated, token, "/organizations").json()
    header = {"X-Daytona-Organization-ID": mine["id"]}
    body = {"name": "ci", "permissions": []}
    key = _ask(federated, token, "/api-keys", "POST", headers=header, json=body).json()["value"]
    users = json.loads(federated.ratoon("user", "list", "--format", "json"))
    assert "certified|eve" in [u["id"] for u in users]
    path = "/admin/users/certified%7Ceve"
    assert _ask(federated, federated.key, f"{path}/disable", "POST").status_code == 204
    # By push, within milliseconds; a request that is on its way meanwhile may still pass.
    while _ask(federated, key, "/api-keys/current").status_code == 200:
        pass
    for credential in (token, key):
        refused = _ask(federated, credential, "/users/me")
        assert (refused.status_code, refused.json()["code"]) == (401, "CREDENTIAL_INVALID")
    assert _ask(federated, federated.key, path).json()["disabledAt"] is not None
    federated.ratoon("user", "enable", "--id", "certified|eve")
    # A gateway goes on refusing for two seconds what it refused a moment ago.
    while (again := _ask(federated, token, "/users/me")).status_code == 401:
        pass
    assert again.status_code == 200


def test_while_the_provider_is_away_tokens_go_on(federated: System, provider: Provider) -> None:
    token = provider.token("late")
    assert _ask(federated, token, "/users/me").status_code == 200
    fresh = provider.token("fresh")
    provider.stop()
    for known in (token, fresh):
        assert _ask(federated, known, "/users/me").status_code == 200
