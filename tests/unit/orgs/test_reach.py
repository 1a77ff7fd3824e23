"""What webhooks may be sent to: public addresses and those that the operator names, however they are written."""

import asyncio
import socket
import ssl
from ipaddress import ip_network
from typing import Any

import pytest

from services.orgs.domain.webhooks import Failure, Reach, fit_url, host_refused, pause_after
from services.orgs.webhooks.sender import AddressRefused, CheckedResolver, Sender, failure_of
from tests.receiver import a_receiver

PUBLIC = ("8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "93.184.216.34")
PRIVATE = (
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.1"),
    *("198.18.0.1", "192.0.2.1", "203.0.113.5", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254"),
    *("fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001::1", "not an address", ""),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address: str) -> None:
    assert not Reach().refuses(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_others_are_not(address: str) -> None:
    assert Reach().refuses(address)


def test_networks_that_the_operator_names_are_called() -> None:
    reach = Reach((ip_network("10.1.0.0/16"), ip_network("fd00::/64")))
    for fine in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::9"):
        assert not reach.refuses(fine)
    for other in ("10.2.0.1", "fd00:0:0:1::9", "127.0.0.1"):
        assert reach.refuses(other)


def test_only_https_unless_the_operator_allows_http() -> None:
    assert fit_url(" https://hooks.example/x?y=z ", Reach()) == "https://hooks.example/x?y=z"
    assert fit_url("http://hooks.example", Reach(allow_http=True)) == "http://hooks.example"


def test_a_host_is_judged_when_it_is_an_address() -> None:
    assert host_refused("127.0.0.1", Reach())
    assert not host_refused("localhost", Reach())


# Names, and numbers that only the resolver reads as addresses.
@pytest.mark.parametrize("host", ["localhost", "2130706433", "127.1", "0x7f.1", "0"])
async def test_a_name_that_stands_for_a_private_address_is_not_called(host: str) -> None:
    resolver = CheckedResolver(Reach())
    with pytest.raises(AddressRefused):
        await resolver.resolve(host, 80)
    await resolver.close()


async def test_nothing_is_sent_to_a_private_address_by_any_name() -> None:
    async with a_receiver() as receiver:
        sender = Sender(Reach(allow_http=True))
        for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0"):
            outcome = await sender.send(f"http://{host}:{receiver.port}/", "{}", {})
            # Some of these are no addresses to the client at all.
            refused = (Failure.ADDRESS_REFUSED, Failure.PROTOCOL_ERROR)
            assert outcome.status == 0, host
            assert outcome.failure in refused[: 1 if host in ("127.0.0.1", "localhost") else 2]
        await sender.close()
        assert receiver.received == []


async def test_an_answer_of_the_resolver_cannot_be_changed_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever was resolved and judged before: where a socket is about to be connected to is judged last."""

    async def lie(self: Any, host: str, port: int = 0, family: int = 0) -> list[dict[str, Any]]:
        place = {"hostname": host, "host": "127.0.0.1", "port": port}
        return [{**place, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    monkeypatch.setattr(CheckedResolver, "resolve", lie)
    async with a_receiver() as receiver:
        sender = Sender(Reach(allow_http=True))
        outcome = await sender.send(f"http://hooks.example:{receiver.port}/", "{}", {})
        await sender.close()
        assert outcome.failure is Failure.ADDRESS_REFUSED
        assert receiver.received == []


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    local = Reach((ip_network("127.0.0.0/8"),), allow_http=True)
    async with a_receiver() as proxy, a_receiver() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        sender = Sender(local)
        outcome = await sender.send(receiver.url(), "{}", {})
        await sender.close()
        assert (outcome.status, outcome.failure) == (204, None)
        assert proxy.received == []


async def test_who_does_not_answer_is_left() -> None:
    local = Reach((ip_network("127.0.0.0/8"),), allow_http=True)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = Sender(local, seconds=0.05)
    outcome = await sender.send(f"http://127.0.0.1:{port}/", "{}", {})
    assert (outcome.status, outcome.failure) == (0, Failure.TIMEOUT)
    await sender.close()
    server.close()


async def test_an_answer_without_end_is_not_read() -> None:
    local = Reach((ip_network("127.0.0.0/8"),), allow_http=True)
    closed = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            writer.close()
            closed.set()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    sender = Sender(local, seconds=5.0)
    outcome = await sender.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "{}", {})
    assert (outcome.status, outcome.failure) == (200, None)
    await asyncio.wait_for(closed.wait(), 10)
    await sender.close()
    server.close()


async def test_what_nobody_listens_to() -> None:
    local = Reach((ip_network("127.0.0.0/8"),), allow_http=True)
    sender = Sender(local)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        outcome = await sender.send(f"http://127.0.0.1:{free.getsockname()[1]}/", "{}", {})
    await sender.close()
    assert outcome.failure is Failure.CONNECTION_FAILED


def test_failures_have_words() -> None:
    assert failure_of(socket.gaierror()) is Failure.NAME_UNRESOLVED
    assert failure_of(ssl.SSLError()) is Failure.TLS_FAILED
    assert failure_of(ValueError()) is Failure.PROTOCOL_ERROR


def test_a_day_of_pauses() -> None:
    pauses: list[float] = []
    while (pause := pause_after(len(pauses) + 1)) is not None:
        pauses.append(pause)
    assert pauses[:4] == [5.0, 30.0, 120.0, 600.0]
    assert pauses == sorted(pauses)
    assert 20 * 3_600 < sum(pauses) * 1.1 <= 24.1 * 3_600 * 1.1
