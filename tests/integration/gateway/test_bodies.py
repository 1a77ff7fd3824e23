"""Whatever is sent as a body, the answer is a refusal in the one shape."""

import json
from typing import Any

import httpx
import pytest

from tests.gateway_fakes import KEY, Fakes
from tests.integration.gateway.conftest import Served, client_of

SHAPE = {"path", "timestamp", "statusCode", "error", "message", "code", "source"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe{}",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b"}',
        b'{"name": NaN}',
        b'{"name": "a", "cpu": NaN}',
        b'{"name": "a", "cpu": Infinity}',
        b'{"name": "a", "cpu": 1e999}',
        b'{"name": "a", "cpu": ' + b"9" * 5_000 + b"}",
        b'{"name": "a", "cpu": 2147483648}',
        b'{"name": "a", "cpu": 1.5}',
        b'{"name": "a", "cpu": -1}',
        b'{"name": "a", "cpu": "1"}',
        b'{"name": "a", "cpu": true}',
        b'{"name": 5}',
        b'{"name": null}',
        b'{"name": ["a"]}',
        b'{"name": "a", "entrypoint": "sleep infinity"}',
        b'{"name": "a", "entrypoint": [1]}',
        b'{"name": "a", "buildInfo": {}}',
        b'{"name": "a", "buildInfo": {"dockerfileContent": ""}}',
        b'{"name": "a", "buildInfo": {"dockerfileContent": 5}}',
        b'{"name": "a", "buildInfo": {"dockerfileContent": "x", "contextHashes": "abc"}}',
        b'{"name": "' + b"x" * 2_000 + b'"}',
        b"[]",
        b"null",
        b'"text"',
        b"1",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"name": "a"} trailing',
    ],
)
async def test_a_bad_body_is_refused(fakes: Fakes, client: httpx.AsyncClient, body: bytes) -> None:
    for headers in ({}, {"content-type": "application/json"}, {"content-type": "text/plain"}):
        answer = await client.post("/snapshots", content=body, headers=headers)
        assert answer.status_code == 400, answer.text
        assert set(answer.json()) == SHAPE
        assert answer.json()["message"]
    assert fakes.snapshots.calls.names() == []


async def test_a_body_needs_no_type_but_no_wrong_one(client: httpx.AsyncClient) -> None:
    body = json.dumps({"name": "web"}).encode()
    assert (await client.post("/snapshots", content=body)).status_code == 200
    for other in ("text/plain", "application/x-www-form-urlencoded", "\u00e4"):
        sent = {"content-type": other.encode("latin-1")}
        answer = await client.post("/snapshots", content=body, headers=sent)  # type: ignore[arg-type]  # bytes are what is tested
        assert answer.status_code == 400
    for right in ("application/json; charset=utf-8", "application/problem+json"):
        sent_right = {"content-type": right}
        answer = await client.post("/snapshots", content=body, headers=sent_right)
        assert answer.status_code == 200


async def test_of_a_name_given_twice_the_last_counts(
    fakes: Fakes, client: httpx.AsyncClient
) -> None:
    body = b'{"name": "a", "name": "b"}'
    assert (await client.post("/snapshots", content=body)).status_code == 200
    assert fakes.snapshots.calls.last("CreateSnapshot").name == "b"


async def test_several_violations_are_one_text_without_the_values(
    client: httpx.AsyncClient,
) -> None:
    secret = "s3cret-value"
    body = {"cpu": secret, "entrypoint": secret}
    message = (await client.post("/snapshots", json=body)).json()["message"]
    assert [part.split(":")[0] for part in message.split(", ")] == ["name", "entrypoint", "cpu"]
    assert secret not in message


@pytest.mark.parametrize(
    "expires",
    ["x", "", 5, 1.5, True, [], "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"],
)
async def test_a_bad_date_is_refused(fakes: Fakes, client: httpx.AsyncClient, expires: Any) -> None:
    body = {"name": "k", "permissions": [], "expiresAt": expires}
    assert (await client.post("/api-keys", json=body)).status_code == 400
    assert fakes.api_keys.calls.names() == []


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ä"])
async def test_a_bad_idempotency_key_is_refused(client: httpx.AsyncClient, key: str) -> None:
    sent = {"idempotency-key": key.encode("latin-1")}
    answer = await client.post("/snapshots", json={"name": "a"}, headers=sent)  # type: ignore[arg-type]  # bytes are what is tested
    assert (answer.status_code, answer.json()["code"]) == (400, "IDEMPOTENCY_KEY_INVALID")


async def test_a_failure_nobody_foresaw_says_nothing(fakes: Fakes, served: Served) -> None:
    fakes.snapshots.calls.refusals["GetSnapshot"] = RuntimeError("password=hunter2")
    async with client_of(served[1], KEY) as client:
        answer = await client.get("/snapshots/base")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "hunter2" not in answer.text
    assert answer.headers["x-daytona-api-version"] == "0.1.0"
