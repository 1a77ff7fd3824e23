"""People who come with a token of the configured issuer, to the whole system and through the edge."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from bench.system import System, running
from tests.issuer import AUDIENCE, TestIssuer


@pytest.fixture(scope="module")
def issuer() -> Iterator[TestIssuer]:
    issuer = TestIssuer()
    yield issuer
    issuer.close()


@pytest.fixture(scope="module")
def federated(issuer: TestIssuer) -> Iterator[System]:
    """A system of its own that trusts the issuer, with Envoy in front."""
    with running(
        "--edge",
        OIDC_ISSUER_BASE_URL=issuer.url,
        OIDC_CLIENT_ID="ratoon",
        OIDC_AUDIENCE=AUDIENCE,
    ) as system:
        yield system


def _get(system: System, path: str, token: str, organization: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    if organization:
        headers["X-Daytona-Organization-ID"] = organization
    return httpx.get(f"{system.url}{path}", headers=headers, timeout=30)


def test_a_first_login_makes_one_person_with_one_personal_organization(
    federated: System, issuer: TestIssuer
) -> None:
    token = issuer.token(sub="auth0|first", email="first@example.org", name="First")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: _get(federated, "/users/me", token), range(20)))
    assert [a.status_code for a in answers] == [200] * 20
    assert {a.json()["id"] for a in answers} == {"auth0|first"}
    listed = _get(federated, "/organizations", token).json()
    assert [(o["name"], o["personal"], o["defaultRegionId"]) for o in listed] == [
        ("Personal", True, "us")
    ]


def test_a_token_names_its_organization_by_header(federated: System, issuer: TestIssuer) -> None:
    token = issuer.token(sub="auth0|second", email="second@example.org")
    mine = _get(federated, "/organizations", token).json()[0]["id"]
    without = _get(federated, "/snapshots", token)
    assert (without.status_code, without.json()["code"]) == (403, "ORGANIZATION_REQUIRED")
    foreign = _get(federated, "/snapshots", token, federated.personal())
    assert (foreign.status_code, foreign.json()["code"]) == (403, "ORGANIZATION_FORBIDDEN")
    assert _get(federated, "/snapshots", token, mine).json()["total"] == 0
    assert _get(federated, "/api-keys/current", token, mine).status_code == 401


def test_bad_tokens_look_alike(federated: System, issuer: TestIssuer) -> None:
    bad = [
        issuer.token(aud="somebody else"),
        issuer.token(iss="https://elsewhere.example.org"),
        issuer.token(exp=1_700_000_000),
        issuer.token()[:-8] + "AAAAAAAA",
    ]
    for token in bad:
        answer = _get(federated, "/users/me", token)
        assert (answer.status_code, answer.json()["code"]) == (401, "CREDENTIAL_INVALID")


def test_the_edge_hides_nothing_and_adds_nothing(federated: System) -> None:
    processes = federated.ratoon("status")
    assert "edge" in processes
    spoofed = httpx.get(
        f"{federated.url}/snapshots",
        headers={"Authorization": "Bearer nonsense", "ratoon-caller": "forged"},
        timeout=30,
    )
    assert spoofed.status_code == 401
    assert "x-request-id" in spoofed.headers
    assert federated.client.get("/snapshots").status_code == 200
    name = federated.client.get("/snapshots/no%2Fsuch")
    assert (name.status_code, name.json()["code"]) == (404, "SNAPSHOT_NOT_FOUND")
    huge = federated.client.post("/snapshots", content=b" " * (2 << 20))
    assert huge.status_code == 413
