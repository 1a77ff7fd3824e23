"""Hosts that are not there, not themselves, or not to be trusted."""

import socket
from pathlib import Path

import pytest

from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.http import Http
from tests.images import image
from tests.integration.snapshots.images.conftest import Bench
from tests.integration.snapshots.images.names import Names, certified
from tests.integration.snapshots.images.scripted import (
    Exchange,
    ScriptedRegistry,
    scripted_registry,
)
from tests.registry import Registry


async def failed(bench: Bench, http: Http, reference: str) -> PullFailed:
    with pytest.raises(PullFailed) as caught:
        await bench.pull_by(http, reference)
    return caught.value


@pytest.mark.parametrize(
    ("error", "code", "transient"),
    [
        (socket.EAI_NONAME, Code.REGISTRY_HOST_UNKNOWN, False),
        (socket.EAI_NODATA, Code.REGISTRY_HOST_UNKNOWN, False),
        (socket.EAI_AGAIN, Code.REGISTRY_UNREACHABLE, True),
        (socket.EAI_FAIL, Code.REGISTRY_UNREACHABLE, True),
    ],
)
async def test_an_unknown_host_is_final_and_a_poor_resolver_is_not(
    bench: Bench, error: int, code: Code, transient: bool
) -> None:
    names = Names({"registry.test": socket.gaierror(error, "as asked")})
    async with Http(resolver=names) as http:
        failure = await failed(bench, http, "registry.test/a/b:1")

    assert (failure.code, failure.transient) == (code, transient)
    assert "registry.test" in failure.reason


async def test_the_machines_own_resolver_is_understood(bench: Bench) -> None:
    async with Http() as http:
        failure = await failed(bench, http, "nowhere.invalid/a/b:1")

    assert failure.code in (Code.REGISTRY_HOST_UNKNOWN, Code.REGISTRY_UNREACHABLE)
    assert failure.transient is (failure.code is Code.REGISTRY_UNREACHABLE)


async def test_a_closed_port_is_transient(bench: Bench) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        failure = await bench.failure(f"127.0.0.1:{unused.getsockname()[1]}/a/b:1")

    assert (failure.code, failure.transient) == (Code.REGISTRY_UNREACHABLE, True)


async def test_an_unknown_authority_is_final(tmp_path: Path, bench: Bench) -> None:
    context, ca_file = certified(tmp_path, "registry.test")
    async with scripted_registry(tls=context) as server:
        server.serve(image(seed=91))
        names = Names(dict.fromkeys(["registry.test", "other.test"], server.host))
        async with Http(resolver=names) as distrustful:
            unknown = await failed(bench, distrustful, "registry.test/a/b:1")
        async with Http(resolver=names, extra_ca=ca_file) as trusting:
            misnamed = await failed(bench, trusting, "other.test/a/b:1")
            await bench.pull_by(trusting, "registry.test/a/b:1")

    for failure in (unknown, misnamed):
        assert (failure.code, failure.transient) == (Code.REGISTRY_TLS, False)
    assert "certificate" in unknown.reason


async def test_plain_http_is_spoken_only_where_configured(registry: Registry, bench: Bench) -> None:
    registry.push("team/plain", "1", image(seed=92))
    async with Http() as http:
        failure = await failed(bench, http, f"{registry.host}/team/plain:1")

    assert (failure.code, failure.transient) == (Code.REGISTRY_TLS, False)
    assert "plain HTTP" in failure.remedy


async def test_a_host_that_speaks_no_http_is_final(
    scripted: ScriptedRegistry, bench: Bench
) -> None:
    async def greet(exchange: Exchange) -> None:
        exchange.writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await exchange.writer.drain()
        exchange.writer.close()

    scripted.instead("", greet)

    failure = await bench.failure(f"{scripted.host}/a/b:1")

    assert (failure.code, failure.transient) == (Code.REGISTRY_PROTOCOL, False)


@pytest.mark.parametrize("name", ["UPPER/case:1", "a b:1", "", "a/b@sha256:abc", "host.test:0/a:1"])
async def test_a_name_that_cannot_be_read_is_final(bench: Bench, name: str) -> None:
    async with Http() as http:
        failure = await failed(bench, http, name)

    assert (failure.code, failure.transient) == (Code.IMAGE_INVALID, False)
